// Folders of images. ImageFolder: root/<class>/…/<file>, classes and files sorted by code point, as torchvision sorts them.
// Flat: files alone, whose label is the part of the name before the first _ (ImageNet's wnid), stands in a file, or is absent.
// Files of other kinds and names that begin with a dot are passed over.

import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join, relative, sep } from 'node:path';
import { fileError, OptionError } from '../../base/index.js';
import type { LabelFile } from '../label-file.js';
import { byCodePoint, invalidSet, type Listing, type NamedItem } from './set.js';

const EXTENSIONS = new Set([
  '.jpg',
  '.jpeg',
  '.png',
  '.webp',
  '.gif',
  '.bmp',
  '.ppm',
  '.pgm',
  '.tif',
  '.tiff',
  '.avif',
  '.heic',
]);
const MAX_DEPTH = 8;

export const isImageName = (name: string): boolean =>
  !basename(name).startsWith('.') && EXTENSIONS.has(extname(name).toLowerCase());

export type Entries = { readonly files: readonly string[]; readonly folders: readonly string[] };

/** What a folder holds, sorted; links count as what they lead to. */
export async function listFolder(path: string): Promise<Entries> {
  try {
    const [files, folders]: [string[], string[]] = [[], []];
    for (const entry of await readdir(path, { withFileTypes: true })) {
      if (entry.name.startsWith('.')) continue;
      const isFolder = entry.isSymbolicLink()
        ? (await stat(join(path, entry.name))).isDirectory()
        : entry.isDirectory();
      (isFolder ? folders : files).push(entry.name);
    }
    return { files: files.sort(byCodePoint), folders: folders.sort(byCodePoint) };
  } catch (error) {
    throw fileError(error, path);
  }
}

async function listImages(path: string, depth = 0): Promise<string[]> {
  if (depth > MAX_DEPTH)
    throw invalidSet(path, `expected folders at most ${MAX_DEPTH} deep. Check for links that lead back.`);
  const { files, folders } = await listFolder(path);
  const own = files.filter(isImageName).map((file) => join(path, file));
  const inner = [];
  for (const folder of folders) inner.push(...(await listImages(join(path, folder), depth + 1)));
  return [...own, ...inner];
}

const itemOf = (root: string, path: string, className?: string): NamedItem => ({
  name: relative(root, path).split(sep).join('/'),
  image: { kind: 'file', path },
  ...(className === undefined ? {} : { className }),
});

export async function readImageFolder(root: string, { folders }: Entries): Promise<Listing> {
  const items: NamedItem[] = [];
  for (const folder of folders) {
    const images = await listImages(join(root, folder));
    if (images.length === 0)
      throw invalidSet(join(root, folder), 'expected images of a class, found none. Remove the folder.');
    for (const path of images) items.push(itemOf(root, path, folder));
  }
  return { layout: 'folders', items };
}

/** `labels`: from the names, from a file, or none. @throws CheckpointError E_IMAGE_SET; OptionError E_OPTION_LABELS */
export async function readFlatFolder(
  root: string,
  { files }: Entries,
  labels: 'name' | LabelFile | undefined,
): Promise<Listing> {
  const names = files.filter(isImageName);
  const classOf =
    labels === undefined ? () => undefined : labels === 'name' ? classInName : classesInFile(labels, names);
  return { layout: 'flat', items: names.map((name, place) => itemOf(root, join(root, name), classOf(name, place))) };
}

/** `n01440764_tench.JPEG` is of the class `n01440764_tench`: its number or its name may be what the model knows. */
function classInName(name: string): string {
  const stem = name.slice(0, name.length - extname(name).length);
  const [, wnid] = /^(n\d{8})_\d+$/.exec(stem) ?? []; // n01440764_18.JPEG of the training images
  if (wnid) return wnid;
  if (/^[^_]+_./.test(stem)) return stem;
  throw invalidSet(name, 'expected a class and _ at the start of its name. Name a file of labels instead.');
}

function classesInFile(file: LabelFile, names: readonly string[]): (name: string, place: number) => string {
  if (file.kind === 'list') {
    if (file.values.length === names.length) return (_, place) => file.values[place]!;
    throw new OptionError(
      'E_OPTION_LABELS',
      `${file.path}: expected a label for each of ${names.length} images, got ${file.values.length}.`,
      { option: 'labels', got: file.values.length },
    );
  }
  const find = (name: string): string | undefined =>
    file.entries.get(name) ?? file.entries.get(name.slice(0, name.length - extname(name).length));
  const missing = names.filter((name) => find(name) === undefined);
  if (missing.length === 0) return (name) => find(name)!;
  throw new OptionError(
    'E_OPTION_LABELS',
    `${file.path}: expected a label for each of ${names.length} images; ${missing.length} have none, such as ${missing.slice(0, 3).join(', ')}.`,
    { option: 'labels', missing: missing.length },
  );
}
