// What every layout of images is read into: a list of items, each with a way to its bytes. Opening a set reads names, labels and
// questions, and no pixel. Bytes are read one image at a time.

import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { CheckpointError, fileError, isLfsPointer, OptionError, ResourceError } from '../../base/index.js';
import { invalidImage } from '../errors.js';

/** Where the bytes of an image are: in a file, in a stretch of one, or in a row of a Parquet file. */
export type ImageSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'stretch'; readonly path: string; readonly offset: number; readonly length: number }
  | { readonly kind: 'row'; readonly path: string; readonly row: number };

export type Exchange = { readonly question: string; readonly answer: string };

export type ImageItem = {
  /** The image's path inside the set, or its place there. */
  readonly name: string;
  /** Undefined: the item is text alone. */
  readonly image: ImageSource | undefined;
  /** A place in the set's `classNames`. */
  readonly label?: number;
  readonly question?: string;
  /** Answers that count as right; of VQA all ten, equal ones included. */
  readonly answers?: readonly string[];
  /** Texts that describe the image. */
  readonly captions?: readonly string[];
  readonly choices?: readonly string[];
  /** The place of the right answer in `choices`. */
  readonly correct?: number;
  /** What was asked and answered about the image before this question. */
  readonly history?: readonly Exchange[];
  /** Text that goes with the question: ScienceQA's hint. */
  readonly context?: string;
};

export type ImageSet = {
  readonly name: string;
  readonly path: string;
  readonly layout: string;
  readonly count: number;
  readonly items: readonly ImageItem[];
  /** Undefined: the items have no labels. */
  readonly classNames: readonly string[] | undefined;
  /** SHA-256 over names, labels and questions, in order; not over pixels, which the record of prepared images has. */
  readonly hash: string;
  /** The bytes of an item's image. */
  read(item: ImageItem): Promise<Uint8Array>;
};

/** An item whose class is still a word. */
export type NamedItem = Omit<ImageItem, 'label'> & { readonly className?: string };

export type Listing = {
  readonly layout: string;
  readonly items: readonly NamedItem[];
  /** In the order of the file that names them; undefined: sorted by code point. */
  readonly classNames?: readonly string[];
  /** For rows of Parquet files. */
  readonly readRow?: (path: string, row: number, name: string) => Promise<Uint8Array>;
};

export const invalidSet = (path: string, what: string, facts: object = {}, cause?: unknown): CheckpointError =>
  new CheckpointError('E_IMAGE_SET', `${path}: ${what}`, { file: path, ...facts }, { cause });

/** Strings by code point, as Python sorts them; JavaScript sorts by UTF-16 unit. */
export const byCodePoint = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** Makes the set of what a layout's reader found. @throws CheckpointError E_IMAGE_SET for an empty set or one labelled in part */
export function makeSet(path: string, name: string, { layout, items: named, classNames, readRow }: Listing): ImageSet {
  if (named.length === 0) throw invalidSet(path, 'expected images, found none. Check the path.');
  const labelled = named.filter((item) => item.className !== undefined);
  if (labelled.length > 0 && labelled.length < named.length) {
    const bare = named.find((item) => item.className === undefined)!;
    throw invalidSet(
      path,
      `expected a label for every item or for none, got ${labelled.length} of ${named.length}; ${bare.name} has none. Add it, or leave the item out.`,
    );
  }
  const classes =
    labelled.length === 0
      ? undefined
      : (classNames ?? [...new Set(labelled.map((one) => one.className!))].sort(byCodePoint));
  const places = new Map(classes?.map((one, place) => [one, place]));
  const hash = createHash('sha256').update(JSON.stringify([layout, classes ?? null]));
  const items = named.map(({ className, ...item }): ImageItem => {
    const { image, ...words } = item;
    hash.update(JSON.stringify([words, className ?? null, image !== undefined]));
    return className === undefined ? item : { ...item, label: places.get(className)! };
  });
  return {
    name,
    path,
    layout,
    count: items.length,
    items,
    classNames: classes,
    hash: hash.digest('hex'),
    read: (item) => readSource(item, readRow),
  };
}

/** The largest file of one image. */
const MAX_FILE = 256 << 20;

async function readSource({ image, name }: ImageItem, readRow: Listing['readRow']): Promise<Uint8Array> {
  if (!image)
    throw new OptionError('E_OPTION_IMAGE_NONE', `${name}: expected an item with an image, got one without.`, { name });
  if (image.kind === 'row') return readRow!(image.path, image.row, name);
  const bytes = image.kind === 'file' ? await readWhole(image.path, name) : await readStretch(image, name);
  if (!isLfsPointer(bytes)) return bytes;
  const message = `${name}: expected an image, got a Git LFS pointer; run \`git lfs pull\`.`;
  throw new CheckpointError('E_IMAGE_LFS', message, { file: name });
}

async function readWhole(path: string, name: string): Promise<Uint8Array> {
  try {
    const info = await stat(path);
    if (!info.isFile()) throw invalidImage(path, 'it is a folder or a device');
    return await readStretch({ path, offset: 0, length: info.size }, name);
  } catch (error) {
    throw fileError(error, path);
  }
}

/** Reads part of a file. @throws CheckpointError E_IMAGE_INVALID where it ends early; ResourceError */
export async function readStretch(
  { path, offset, length }: { readonly path: string; readonly offset: number; readonly length: number },
  name: string,
): Promise<Uint8Array> {
  if (length > MAX_FILE) {
    throw new ResourceError(
      'E_RESOURCE_IMAGE',
      `${name}: expected an image of at most ${MAX_FILE} bytes, got ${length}. Make it smaller, or leave it out.`,
      { file: name, length },
    );
  }
  try {
    const handle = await open(path, 'r');
    try {
      const bytes = Buffer.alloc(length);
      const { bytesRead } = await handle.read(bytes, 0, length, offset);
      if (bytesRead < length) throw invalidImage(name, `${path} ends before it does`);
      return bytes;
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError(error, path);
  }
}
