// WebDataset: tar shards in which members that follow each other and share a name up to the first dot are one sample:
// `<key>.jpg` beside `<key>.cls` (the class), `<key>.txt` (its caption) and `<key>.json` (the fields of our own lines).

import { basename } from 'node:path';
import { isObject, parseJson, readFields } from './fields.js';
import { invalidSet, type Listing, type NamedItem, readStretch } from './set.js';
import { type Member, readTar } from './tar.js';

const IMAGES = new Set(['jpg', 'jpeg', 'png', 'webp', 'gif', 'bmp', 'ppm', 'tif', 'tiff']);
const WORDS = new Set(['cls', 'txt', 'json']);
const MAX_WORDS = 1 << 20;

type Part = Member & { readonly key: string; readonly extension: string };

const isImage = ({ extension }: Part): boolean => IMAGES.has(extension.slice(extension.lastIndexOf('.') + 1));

/** @throws CheckpointError E_IMAGE_SET; ResourceError */
export async function readShards(paths: readonly string[]): Promise<Listing> {
  const items: NamedItem[] = [];
  for (const path of paths) {
    const parts = (await readTar(path)).map(partOf).filter((part) => isImage(part) || WORDS.has(part.extension));
    for (let at = 0; at < parts.length; ) {
      let end = at + 1;
      while (end < parts.length && parts[end]!.key === parts[at]!.key) end++;
      items.push(await readSample(parts.slice(at, end), path));
      at = end;
    }
  }
  return { layout: 'webdataset', items };
}

function partOf(member: Member): Part {
  const file = basename(member.name);
  const dot = file.startsWith('.') ? -1 : file.indexOf('.');
  const folder = member.name.slice(0, member.name.length - file.length);
  const stem = dot < 0 ? file : file.slice(0, dot);
  return { ...member, key: folder + stem, extension: dot < 0 ? '' : file.slice(dot + 1).toLowerCase() };
}

async function readSample(parts: readonly Part[], path: string): Promise<NamedItem> {
  const place = `${path}: ${parts[0]!.key}`;
  // `a.jpg` is the image where `a.mask.png` is there too.
  const plain = parts.filter(({ extension }) => IMAGES.has(extension));
  const images = plain.length > 0 ? plain : parts.filter(isImage);
  if (images.length > 1)
    throw invalidSet(place, `expected one image, got ${images.map(({ name }) => name).join(', ')}.`);
  const [image] = images;
  const wordsOf = async (extension: string): Promise<string | undefined> => {
    const part = parts.find((one) => one.extension === extension);
    if (!part) return undefined;
    if (part.size > MAX_WORDS)
      throw invalidSet(place, `expected at most ${MAX_WORDS} bytes in .${extension}, got ${part.size}.`);
    const bytes = await readStretch({ path, offset: part.offset, length: part.size }, part.name);
    return new TextDecoder().decode(bytes);
  };
  const json = await wordsOf('json');
  const document = json === undefined ? {} : parseJson(json, place);
  if (!isObject(document)) throw invalidSet(place, 'expected an object in .json.');
  const fields = readFields(document, place);
  const [cls, caption] = [(await wordsOf('cls'))?.trim(), (await wordsOf('txt'))?.trim()];
  const className = cls ?? fields.className;
  if (fields.className !== undefined && fields.className !== className) {
    throw invalidSet(
      place,
      `expected one label, got ${JSON.stringify(cls)} in .cls and ${JSON.stringify(fields.className)} in .json.`,
    );
  }
  if (!image && fields.question === undefined) throw invalidSet(place, 'expected an image, or a question in .json.');
  return {
    ...fields,
    ...(className === undefined ? {} : { className }),
    ...(caption !== undefined && fields.answers === undefined ? { answers: [caption] } : {}),
    ...(caption !== undefined && fields.captions === undefined && fields.question === undefined
      ? { captions: [caption] }
      : {}),
    name: image?.name ?? parts[0]!.key,
    image: image && { kind: 'stretch', path, offset: image.offset, length: image.size },
  };
}
