// Which layout a path has, told from what is there: a folder of classes, of images, of shards; a tar, Parquet or JSON file.

import { stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { fileError, OptionError } from '../../base/index.js';
import { type LabelFile, readLabelFile } from '../label-file.js';
import { type DocumentOptions, readJsonDocument, readLines, readText } from './documents.js';
import { parseJson } from './fields.js';
import { type Entries, isImageName, listFolder, readFlatFolder, readImageFolder } from './folder.js';
import { type ColumnOptions, readParquetFiles } from './parquet.js';
import { type ImageSet, invalidSet, type Listing, makeSet } from './set.js';
import { readShards } from './webdataset.js';

export type ImageSetOptions = DocumentOptions &
  ColumnOptions & {
    /**
     * `folder`: the folder is the class; `name`: the part of a file's name before _ is; or a file. For images without a class a
     * file gives each one's; for images with one it is for `mapLabels`. Defaults to what the layout has.
     */
    readonly labels?: string;
  };

export type OpenedImageSet = ImageSet & {
  /** The file of `labels`, where it says which of the model's labels each class is. */
  readonly labelFile: LabelFile | undefined;
};

/**
 * Reads what is in a set of images, without their bytes.
 * @throws CheckpointError E_IMAGE_SET; OptionError E_OPTION_LABELS, E_OPTION_IMAGES, E_OPTION_SPLIT, E_OPTION_COLUMN,
 * E_OPTION_ANNOTATIONS; ResourceError
 */
export async function openImageSet(path: string, options: ImageSetOptions = {}): Promise<OpenedImageSet> {
  const { labels } = options;
  const file =
    labels === undefined || labels === 'folder' || labels === 'name' ? undefined : await readLabelFile(labels);
  const info = await stat(path).catch((error: unknown) => {
    throw fileError(error, path);
  });
  const listing = info.isDirectory() ? await readDirectory(path, options, file) : await readFile(path, options);
  if (labels === 'folder' && listing.layout !== 'folders') throw labelsError(labels, path, 'a folder for each class');
  if (labels === 'name' && listing.layout !== 'flat') {
    throw labelsError(labels, path, 'one folder of images with their class in their names');
  }
  const set = makeSet(path, basename(path), listing);
  if (file && !set.classNames) throw labelsError(file.path, path, 'items with classes, which the file maps');
  return { ...set, labelFile: file && listing.layout !== 'flat' ? file : undefined };
}

const labelsError = (labels: string, path: string, expected: string): OptionError =>
  new OptionError('E_OPTION_LABELS', `--labels ${labels}: ${path}: expected ${expected}.`, {
    option: 'labels',
    got: labels,
  });

async function readDirectory(path: string, options: ImageSetOptions, file: LabelFile | undefined): Promise<Listing> {
  const entries = await listFolder(path);
  if (entries.files.includes('problems.json')) return readFile(join(path, 'problems.json'), options);
  const shards = (extension: string): string[] =>
    entries.files.filter((name) => extname(name).toLowerCase() === extension);
  const [parquet, tar] = [shards('.parquet'), shards('.tar')];
  const images = entries.files.filter(isImageName);
  const kinds = [parquet, tar, images].filter((one) => one.length > 0);
  if (kinds.length > 1) {
    const some = kinds.map(([one]) => one).join(', ');
    throw invalidSet(path, `expected one kind of files, got ${some}. Use a folder of one kind.`);
  }
  if (parquet.length > 0) return readParquetFiles(oneSplit(path, parquet, options.split), options);
  if (tar.length > 0) return readShards(oneSplit(path, tar, options.split));
  // Where there are both, the option says which is meant.
  if (options.labels === 'name' && images.length > 0) return readFlatFolder(path, entries, 'name');
  if (options.labels === 'folder' && entries.folders.length > 0) return readImageFolder(path, entries);
  const folders = await withImages(path, entries);
  if (images.length > 0 && folders.length > 0) {
    throw invalidSet(
      path,
      `expected folders of classes or images, got both: ${folders[0]} and ${images[0]}. Say where labels are: folder or name.`,
    );
  }
  if (folders.length > 0) return readImageFolder(path, { files: [], folders });
  return readFlatFolder(path, entries, file);
}

/** A folder of images alone may have folders of other things beside them. */
async function withImages(path: string, { files, folders }: Entries): Promise<readonly string[]> {
  if (!files.some(isImageName)) return folders;
  const found: string[] = [];
  for (const folder of folders) if ((await listFolder(join(path, folder))).files.some(isImageName)) found.push(folder);
  return found;
}

/** train-00000-of-00002.parquet is of the split train. */
function oneSplit(path: string, names: readonly string[], split: string | undefined): readonly string[] {
  const splitOf = (name: string): string =>
    basename(name, extname(name)).replace(/[-_]?\d+([-_]of[-_]\d+)?([-_]\w{16})?$/, '');
  const splits = [...new Set(names.map(splitOf))];
  const chosen = split === undefined ? names : names.filter((name) => splitOf(name) === split);
  if (chosen.length > 0 && (split !== undefined || splits.length === 1)) return chosen.map((name) => join(path, name));
  throw new OptionError(
    'E_OPTION_SPLIT',
    `split: ${path}: expected one of ${splits.join(', ')}, got ${split ?? 'none'}.`,
    {
      option: 'split',
      got: split,
      expected: splits,
    },
  );
}

async function readFile(path: string, options: ImageSetOptions): Promise<Listing> {
  switch (extname(path).toLowerCase()) {
    case '.parquet':
      return readParquetFiles([path], options);
    case '.tar':
      return readShards([path]);
    case '.jsonl':
      return readLines(await readText(path), path, options);
    case '.json':
      return readJsonDocument(parseJson(await readText(path), path), path, options);
    default:
      throw new OptionError(
        'E_OPTION_IMAGES',
        `${path}: expected a folder of images, or a .parquet, .tar, .jsonl or .json file, got ${extname(path) || 'a file without an ending'}.`,
        { got: path },
      );
  }
}
