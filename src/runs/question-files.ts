// Whether a set is of questions about images or a text: both are calibration for a model of several trunks.

import { open, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import type { Model } from '../model/index.js';
import { refuseValue } from './checks.js';

/** As much of the first line as says what a file holds. */
const BEGINNING = 1 << 16;

/** A folder, .json, .tar and .parquet are of questions; .jsonl where its first line has one. Anything else is a text. */
async function hasQuestions(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (!found) return false;
  if (found.isDirectory()) return true;
  const kind = extname(path).toLowerCase();
  if (kind !== '.jsonl') return ['.json', '.tar', '.parquet'].includes(kind);
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(BEGINNING), 0, BEGINNING, 0);
    const line = buffer.subarray(0, bytesRead).toString('utf8').trimStart().split('\n')[0]!;
    return /"(question|image)"\s*:/.test(line) && !/"text"\s*:/.test(line);
  } finally {
    await file.close();
  }
}

type Sets = Readonly<Partial<Record<'calibration' | 'validation' | 'test', string | undefined>>>;

/**
 * Which kind the sets of a run are; undefined where there are none.
 * @throws OptionError E_OPTION_CALIBRATION, E_OPTION_VALIDATION, E_OPTION_TEST where they differ, or are texts and the trunk reads images
 */
export async function kindOfSets(
  { calibration, validation, test }: Sets,
  { config }: Model,
): Promise<'questions' | 'text' | undefined> {
  const given = Object.entries({ calibration, validation, test }).filter((one) => one[1] !== undefined);
  const kinds = await Promise.all(given.map(([, path]) => hasQuestions(path!)));
  const [first] = kinds;
  if (first === undefined) return undefined;
  const refuse = (at: number, expected: string): never =>
    refuseValue(given[at]![0], expected, `${given[at]![1]}, ${kinds[at] ? 'questions' : 'a text'}`);
  const other = kinds.indexOf(!first);
  if (config.image && kinds.includes(false)) {
    refuse(
      kinds.indexOf(false),
      'questions about images, which the vision trunk is measured on (docs/guide/image-data.md)',
    );
  }
  if (other >= 0) refuse(other, first ? 'questions about images, like the other sets' : 'a text, like the other sets');
  return first ? 'questions' : 'text';
}
