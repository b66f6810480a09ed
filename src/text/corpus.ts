// Reads text files: .txt as it is; .jsonl, also gzipped (`text` of each line) and .parquet (column `text`), with documents
// joined by an empty line, as the papers join WikiText. Bytes must be UTF-8 and JSON strings whole; other text is refused
// with its place, not repaired. A selection names another column, another separator, or some of the documents.

import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { CheckpointError, fileError, isLfsPointer, OptionError } from '../base/index.js';
import { unzipLines } from './gzip.js';
import { type Row, readParquetRows } from './parquet.js';
import { describeUnfit, firstInvalidByte, NotUtf8 } from './unfit.js';

export type Corpus = {
  readonly path: string;
  readonly text: string;
  /** SHA-256 of the file’s bytes; with a selection, of the text. */
  readonly hash: string;
};

/** Which part of a file of documents is the text. */
export type CorpusSelection = {
  /** The column or field that holds a document. Defaults to `text`. */
  readonly column?: string;
  /** The separator of documents. Defaults to an empty line. */
  readonly separator?: string;
  /** The range of documents. Defaults to all. */
  readonly documents?: readonly [from: number, to: number];
};

const MAX_BYTES = 1 << 30;
const MAX_CHARACTERS = 500_000_000; // just under the longest string JavaScript holds
const SEPARATOR = '\n\n';

/**
 * Reads a text file, or what a selection takes from it.
 * @throws OptionError E_OPTION_TEXT_FORMAT; CheckpointError E_TEXT_ENCODING, E_TEXT_LFS, E_TEXT_EMPTY, E_TEXT_JSONL,
 * E_TEXT_PARQUET, E_TEXT_GZIP, E_TEXT_LARGE; ResourceError
 */
export async function readCorpus(path: string, selection?: CorpusSelection): Promise<Corpus> {
  const extension = /\.jsonl?\.gz$/i.test(path) ? '.jsonl.gz' : extname(path).toLowerCase();
  const read = READERS[extension];
  if (!read) {
    const formats = Object.keys(READERS).join(', ');
    throw new OptionError(
      'E_OPTION_TEXT_FORMAT',
      `${path}: expected a file ending in ${formats}, or c4, wikitext2 or ptb; got ${JSON.stringify(extension)}.`,
      {
        file: path,
        got: extension,
      },
    );
  }
  let bytes: Buffer;
  try {
    const { size } = await stat(path);
    if (size > MAX_BYTES) throw tooLarge(path, `${size} bytes`);
    bytes = await readFile(path);
  } catch (error) {
    throw fileError(error, path);
  }
  refuseLfsPointer(bytes, path);
  const text = await read(bytes, path, selection ?? {});
  if (text.trim().length === 0) {
    throw new CheckpointError(
      'E_TEXT_EMPTY',
      `${path}: expected text, got none (${bytes.length} bytes). Check the file.`,
      {
        file: path,
      },
    );
  }
  return {
    path,
    text,
    hash: createHash('sha256')
      .update(selection ? text : bytes)
      .digest('hex'),
  };
}

type Reader = (bytes: Buffer, path: string, selection: CorpusSelection) => string | Promise<string>;

const READERS: Readonly<Record<string, Reader>> = {
  '.txt': decodeUtf8,
  '.jsonl': (bytes, path, selection) => parseLines(decodeUtf8(bytes, path).split('\n'), path, selection),
  '.parquet': readParquet,
  '.jsonl.gz': async (bytes, path, selection) =>
    parseLines(await unzipLines(bytes, path, MAX_BYTES, selection.documents?.[1]), path, selection),
};

/** @throws CheckpointError E_TEXT_LFS where the file is a Git LFS pointer instead of the data */
export function refuseLfsPointer(bytes: Uint8Array, path: string): void {
  if (!isLfsPointer(bytes)) return;
  const message = `${path}: expected a file of data, got a Git LFS pointer; run \`git lfs pull\`.`;
  throw new CheckpointError('E_TEXT_LFS', message, { file: path });
}

/** @throws CheckpointError E_TEXT_ENCODING with the place of the first byte that does not fit */
export function decodeUtf8(bytes: Buffer, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    const offset = firstInvalidByte(bytes);
    throw new CheckpointError(
      'E_TEXT_ENCODING',
      `${path}: expected UTF-8; byte ${offset} (0x${bytes[offset]?.toString(16)}) does not fit. Convert the file, for example with iconv -t utf-8.`,
      { file: path, offset },
      { cause },
    );
  }
}

function parseLines(lines: readonly string[], path: string, selection: CorpusSelection): string {
  const { column = 'text' } = selection;
  const documents: string[] = [];
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '') continue;
    const fail = (got: string, cause?: unknown): CheckpointError =>
      new CheckpointError(
        'E_TEXT_JSONL',
        `${path}: line ${index + 1}: expected a JSON object with a string ${JSON.stringify(column)}, got ${got}.`,
        { file: path, line: index + 1 },
        { cause },
      );
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw fail((cause as Error).message, cause);
    }
    const document = (value as Record<string, unknown> | null)?.[column];
    if (typeof document !== 'string') throw fail(`${JSON.stringify(column)} of type ${typeof document}`);
    if (describeUnfit(document)) throw unfit(path, `line ${index + 1}`, column, document, { line: index + 1 });
    documents.push(document);
  }
  return join(documents, path, selection);
}

async function readParquet(bytes: Buffer, path: string, selection: CorpusSelection): Promise<string> {
  const { column = 'text' } = selection;
  const name = JSON.stringify(column);
  let rows: readonly Row[];
  try {
    rows = await readParquetRows(bytes, [column]);
  } catch (cause) {
    throw new CheckpointError(
      'E_TEXT_PARQUET',
      `${path}: expected a Parquet file with a column ${name}; ${(cause as Error).message}.`,
      { file: path },
      { cause },
    );
  }
  const documents = rows.map(({ [column]: text }, row) => {
    if (typeof text === 'string') return text;
    if (text instanceof NotUtf8) throw unfit(path, `row ${row}`, column, text, { row });
    throw new CheckpointError(
      'E_TEXT_PARQUET',
      `${path}: row ${row}: expected a string in column ${name}, got ${text === null ? 'null' : typeof text}.`,
      { file: path, row },
    );
  });
  return join(documents, path, selection);
}

/** A document that is not valid text is refused, like the bytes of a text file, and not repaired. */
function unfit(path: string, place: string, column: string, document: unknown, facts: object): CheckpointError {
  const message = `${path}: ${place}, ${JSON.stringify(column)}: expected text, got ${describeUnfit(document)}. Repair the file, or create it again.`;
  return new CheckpointError('E_TEXT_ENCODING', message, { file: path, ...facts });
}

function join(all: readonly string[], path: string, { separator = SEPARATOR, documents }: CorpusSelection): string {
  const some = documents ? all.slice(...documents) : all;
  const characters = some.reduce((sum, document) => sum + document.length + separator.length, 0);
  if (characters > MAX_CHARACTERS) throw tooLarge(path, `${characters} characters`);
  return some.join(separator);
}

const tooLarge = (path: string, got: string): CheckpointError =>
  new CheckpointError(
    'E_TEXT_LARGE',
    `${path}: expected at most ${MAX_BYTES} bytes of text, got ${got}. Use a part of it.`,
    {
      file: path,
      got,
    },
  );
