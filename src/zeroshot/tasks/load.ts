// A task's items from a folder: one file of JSON lines, each line an item's own fields, or an item rendered already. Every
// line is read and checked before anything is scored, also those that --limit leaves out.

import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CheckpointError, fileError, OptionError } from '../../base/index.js';
import { decodeUtf8 } from '../../text/index.js';
import { Fields } from './fields.js';
import { isRendered, readRendered } from './rendered.js';
import type { Question, Task } from './task.js';

/** One item: its fields as they came, and what they ask. */
export type Document = {
  /** Its place among the items of its part, from 0. */
  readonly index: number;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly question: Question;
  /** The part of the task it belongs to; the task's name where there are none. */
  readonly part: string;
  /** What stands before its question. */
  readonly introduction: string;
  readonly rendered: boolean;
};

export type TaskFile = { readonly name: string; readonly hash: string; readonly documents: readonly Document[] };

const MAX_BYTES = 1 << 30;

/** The file that is scored. @throws OptionError E_OPTION_DATA; CheckpointError E_TASK_…, E_TEXT_ENCODING; ResourceError */
export async function loadTask(dir: string, task: Task): Promise<TaskFile> {
  const file = await findFile(dir, task.files);
  if (file === undefined) {
    const expected = task.files.map((name) => `${name}.jsonl`);
    throw new OptionError(
      'E_OPTION_DATA',
      `--data: ${dir} has no items of ${task.name}; expected a file ${expected.join(' or ')}, one item a line (docs/tasks.md).`,
      { option: 'data', got: dir, task: task.name, expected },
    );
  }
  return readTaskFile(file, task);
}

/** The file that few-shot examples come from; undefined where the folder has none. */
export async function loadShots(dir: string, task: Task): Promise<TaskFile | undefined> {
  const file = await findFile(dir, task.shots.files);
  return file === undefined ? undefined : readTaskFile(file, task);
}

async function findFile(dir: string, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    const path = join(dir, `${name}.jsonl`);
    const there = await stat(path).then(
      () => true,
      (error) => {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
        throw fileError(error, path);
      },
    );
    if (there) return path;
  }
  return undefined;
}

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
  for (const [index, line] of decodeUtf8(bytes, path).split('\n').entries()) {
    if (line.trim() === '') continue;
    const fields = parseLine(line, path, index + 1);
    const part = task.partOf ? `${task.name}_${task.partOf(fields)}` : task.name;
    const place = inPart.get(part) ?? 0;
    inPart.set(part, place + 1);
    documents.push(readDocument(task, fields, part, place));
  }
  if (documents.length === 0) {
    throw new CheckpointError('E_TASK_EMPTY', `${path}: expected items, one a line, got none. Check the file.`, {
      file: path,
    });
  }
  return { name: basename(path), hash: createHash('sha256').update(bytes).digest('hex'), documents };
}

function readDocument(task: Task, fields: Fields, part: string, index: number): Document {
  const rendered = isRendered(fields);
  const question = rendered ? readRendered(task.form, fields) : task.read(fields);
  const introduction = rendered || !task.introduce ? '' : task.introduce(task.partOf!(fields));
  return { index, fields: fields.values, question, part, introduction, rendered };
}

function parseLine(line: string, file: string, number: number): Fields {
  let value: unknown;
  let cause: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    cause = error;
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return new Fields(value as Record<string, unknown>, { file, line: number });
  }
  const got = cause ? (cause as Error).message : Array.isArray(value) ? 'a list' : String(value);
  throw new CheckpointError(
    'E_TASK_LINE',
    `${file}: line ${number}: expected a JSON object, got ${got}.`,
    { file, line: number },
    { cause },
  );
}
