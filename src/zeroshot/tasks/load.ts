// Reads a task's items from a folder: one file of JSON lines, a JSON array or Parquet, as the Hub stores or exports them.
// An item has the data set's own fields, or is already rendered. Every item is read and checked before anything is scored,
// including those that --limit leaves out.

import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CheckpointError, fileError, LayerwiseError, OptionError } from '../../base/index.js';
import { decodeUtf8, describeUnfit, readParquetRows, refuseLfsPointer } from '../../text/index.js';
import { Fields, type Place } from './fields.js';
import { isRendered, readRendered } from './rendered.js';
import type { Question, Task } from './task.js';

/** One item: its original fields, and the question they make. */
export type Document = {
  /** Its place among the items of its part, from 0. */
  readonly index: number;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly question: Question;
  /** The part of the task it belongs to; the task’s name where the task has no parts. */
  readonly part: string;
  /** The text before its question. */
  readonly introduction: string;
  readonly rendered: boolean;
};

export type TaskFile = { readonly name: string; readonly hash: string; readonly documents: readonly Document[] };

const MAX_BYTES = 1 << 30;
/** A `.json` file may also hold JSON lines: the Hub’s library writes them by default. */
const EXTENSIONS = ['.jsonl', '.json', '.parquet'] as const;

/** The file that is scored. @throws OptionError E_OPTION_DATA; CheckpointError E_TASK_…, E_TEXT_ENCODING; ResourceError */
export async function loadTask(dir: string, task: Task): Promise<TaskFile> {
  const file = await findFile(dir, task.files);
  if (file === undefined) {
    const expected = task.files;
    throw new OptionError(
      'E_OPTION_DATA',
      `--data: ${dir} has no items of ${task.name}; expected a file ${expected.join(' or ')}, ending in ${EXTENSIONS.join(', ')} (docs/reference/tasks.md).`,
      { option: 'data', got: dir, task: task.name, expected },
    );
  }
  return readTaskFile(file, task);
}

/** The file of few-shot examples; undefined where the folder has none. */
export async function loadShots(dir: string, task: Task): Promise<TaskFile | undefined> {
  const file = await findFile(dir, task.shots.files);
  return file === undefined ? undefined : readTaskFile(file, task);
}

async function findFile(dir: string, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    const found: string[] = [];
    for (const extension of EXTENSIONS) {
      const path = join(dir, name + extension);
      if (await isThere(path)) found.push(path);
    }
    if (found.length > 1) {
      const files = found.map((path) => basename(path)).join(' and ');
      const message = `--data: ${dir} has ${files}; expected only one of them. Move the others away.`;
      throw new OptionError('E_OPTION_DATA', message, { option: 'data', got: found });
    }
    if (found.length === 1) return found[0];
  }
  return undefined;
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw fileError(error, path);
    },
  );

async function readTaskFile(path: string, task: Task): Promise<TaskFile> {
  let bytes: Buffer;
  try {
    const { size } = await stat(path);
    if (size > MAX_BYTES) {
      const message = `${path}: expected at most ${MAX_BYTES} bytes of items, got ${size}. Use a part of it.`;
      throw new CheckpointError('E_TASK_LARGE', message, { file: path, got: size });
    }
    bytes = await readFile(path);
  } catch (error) {
    throw fileError(error, path);
  }
  const documents: Document[] = [];
  const inPart = new Map<string, number>();
  refuseLfsPointer(bytes, path);
  for (const fields of await readItems(bytes, path)) {
    const part = task.partOf ? `${task.name}_${task.partOf(fields)}` : task.name;
    const place = inPart.get(part) ?? 0;
    inPart.set(part, place + 1);
    documents.push(readDocument(task, fields, part, place));
  }
  if (documents.length === 0) {
    throw new CheckpointError('E_TASK_EMPTY', `${path}: expected items, got none. Check the file.`, {
      file: path,
    });
  }
  return { name: basename(path), hash: createHash('sha256').update(bytes).digest('hex'), documents };
}

function readDocument(task: Task, fields: Fields, part: string, index: number): Document {
  const rendered = isRendered(fields, task.own);
  const question = rendered ? readRendered(task.form, fields) : task.read(fields);
  const introduction = rendered || !task.introduce ? '' : task.introduce(task.partOf!(fields));
  return { index, fields: fields.values, question, part, introduction, rendered };
}

async function readItems(bytes: Buffer, file: string): Promise<readonly Fields[]> {
  if (file.endsWith('.parquet')) {
    try {
      return (await readParquetRows(bytes)).map((row, number) => toFields(row, { file, unit: 'row', number }));
    } catch (cause) {
      if (cause instanceof LayerwiseError) throw cause;
      const message = `${file}: expected a Parquet file of items; ${(cause as Error).message}. Download it again.`;
      throw new CheckpointError('E_TASK_PARQUET', message, { file }, { cause });
    }
  }
  const text = decodeUtf8(bytes, file);
  if (file.endsWith('.json') && text.trimStart().startsWith('[')) {
    const items = parse(text, (got, cause) => {
      const message = `${file}: expected a JSON array of items, got ${got}.`;
      return new CheckpointError('E_TASK_JSON', message, { file }, { cause });
    }) as readonly unknown[];
    return items.map((item, index) => toFields(item, { file, unit: 'item', number: index + 1 }));
  }
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    const place = { file, unit: 'line', number: index + 1 } as const;
    return [
      toFields(
        parse(line, (got, cause) => notAnItem(place, got, cause)),
        place,
      ),
    ];
  });
}

function parse(text: string, refuse: (got: string, cause: unknown) => CheckpointError): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw refuse((cause as Error).message, cause);
  }
}

function toFields(value: unknown, place: Place): Fields {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject) throw notAnItem(place, Array.isArray(value) ? 'a list' : String(value));
  const { file, unit, number } = place;
  const unfit = describeUnfit(value);
  if (unfit) {
    const message = `${file}: ${unit} ${number}: expected text, got ${unfit}. Repair the file, or create it again.`;
    throw new CheckpointError('E_TEXT_ENCODING', message, { file, [unit]: number });
  }
  return new Fields(value as Record<string, unknown>, place);
}

function notAnItem({ file, unit, number }: Place, got: string, cause?: unknown): CheckpointError {
  const message = `${file}: ${unit} ${number}: expected a JSON object, got ${got}.`;
  return new CheckpointError('E_TASK_LINE', message, { file, [unit]: number }, { cause });
}
