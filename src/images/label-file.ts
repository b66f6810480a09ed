// A file of labels, given with --labels. JSON: an object from names to labels, or a list of labels. Text: a line each, either
// `name label` (the first tab, comma or space parts them, as in ImageNet's LOC_synset_mapping.txt) or a label alone. It either
// says what class an image has, or which of the model's labels a class is.

import { OptionError, readDocument } from '../base/index.js';

export type LabelFile =
  | { readonly kind: 'map'; readonly path: string; readonly entries: ReadonlyMap<string, string> }
  | { readonly kind: 'list'; readonly path: string; readonly values: readonly string[] };

/** @throws OptionError E_OPTION_LABELS; ResourceError */
export async function readLabelFile(path: string): Promise<LabelFile> {
  const text = (await readDocument(path)).replace(/^\uFEFF/, '');
  const file = /^\s*[[{]/.test(text) ? parseJson(text, path) : parseLines(text, path);
  if ((file.kind === 'map' ? file.entries.size : file.values.length) > 0) return file;
  throw unfit(path, 'labels, got none');
}

const unfit = (path: string, what: string, cause?: unknown): OptionError =>
  new OptionError(
    'E_OPTION_LABELS',
    `--labels: ${path}: expected ${what}.`,
    { option: 'labels', file: path },
    { cause },
  );

function word(value: unknown, path: string): string {
  if (typeof value === 'string' || Number.isInteger(value)) return String(value);
  throw unfit(path, `names or whole numbers for labels, got ${JSON.stringify(value)}`);
}

function parseJson(text: string, path: string): LabelFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw unfit(path, `JSON; ${(cause as Error).message}`, cause);
  }
  if (Array.isArray(json)) return { kind: 'list', path, values: json.map((value) => word(value, path)) };
  const entries = Object.entries(json as object).map(([key, value]) => [key, word(value, path)] as const);
  return { kind: 'map', path, entries: new Map(entries) };
}

function parseLines(text: string, path: string): LabelFile {
  const lines = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const pairs = lines.map((line) => /^([^\t, ]+)[\t, ]\s*(.+)$/.exec(line));
  if (pairs.every((pair) => pair === null)) return { kind: 'list', path, values: lines };
  const single = pairs.indexOf(null);
  if (single >= 0) throw unfit(path, `a name and a label in every line, got ${JSON.stringify(lines[single])}`);
  const entries = new Map<string, string>();
  for (const [, key, value] of pairs as RegExpExecArray[]) {
    if (entries.has(key!) && entries.get(key!) !== value) throw unfit(path, `each name once, got ${key} twice`);
    entries.set(key!, value!);
  }
  return { kind: 'map', path, entries };
}
