// Reads tokenizer.json. Each part (a normalizer, a pre-tokenizer, the model …) is an object that knows its path, so that
// anything malformed or not implemented is refused with its field. Fields that are not read are ignored, as in the Rust
// library.

import { CheckpointError } from '../base/portable.js';

/** An object of tokenizer.json and its path. */
export interface Part {
  readonly file: string;
  /** Its path in the file: "pre_tokenizer.pretokenizers[0]"; empty for the whole. */
  readonly at: string;
  /** Its "type"; empty where it has none. */
  readonly type: string;
  has(key: string): boolean;
  raw(key: string): unknown;
  /** A string; `fallback` where the key is absent or null. */
  text(key: string, fallback?: string): string;
  flag(key: string, fallback?: boolean): boolean;
  /** A whole number of at least 0. */
  count(key: string, fallback?: number): number;
  choice<T extends string>(key: string, choices: readonly T[], fallback?: T): T;
  /** An object; undefined where the key is absent or null. */
  part(key: string): Part | undefined;
  /** The objects of a list; none where the key is absent. */
  parts(key: string): readonly Part[];
  /** Makes the error for a malformed value. */
  wrong(key: string, expected: string, got?: unknown): CheckpointError;
  /** Makes the error for a value that would change tokens or text and is not implemented. */
  unsupported(key: string, expected: string, got?: unknown): CheckpointError;
}

/** @throws CheckpointError E_TEXT_TOKENIZER where it is not an object */
export function readPart(value: unknown, file: string, at = ''): Part {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw tokenizerError(file, `${at === '' ? '' : `${at} to be `}an object`, describe(value), {
      field: at,
    });
  }
  const fields = value as Readonly<Record<string, unknown>>;
  const name = (key: string): string => (at === '' ? key : key === '' ? at : `${at}.${key}`);
  const own = (key: string): unknown => (Object.hasOwn(fields, key) ? (fields[key] ?? undefined) : undefined);
  const wrong = (key: string, expected: string, got: unknown = own(key)): CheckpointError =>
    tokenizerError(file, `${name(key)}: ${expected}`, describe(got), { field: name(key) });
  const read = <T>(key: string, expected: string, is: (found: unknown) => found is T, fallback: T | undefined): T => {
    const found = own(key) ?? fallback;
    if (!is(found)) throw wrong(key, expected, found);
    return found;
  };
  const type = own('type');
  return {
    file,
    at,
    type: typeof type === 'string' ? type : '',
    has: (key) => own(key) !== undefined,
    raw: own,
    text: (key, fallback) => read(key, 'a string', (found) => typeof found === 'string', fallback),
    flag: (key, fallback) => read(key, 'true or false', (found) => typeof found === 'boolean', fallback),
    count: (key, fallback) =>
      read(
        key,
        'a whole number',
        (found): found is number => Number.isSafeInteger(found) && (found as number) >= 0,
        fallback,
      ),
    choice: <T extends string>(key: string, choices: readonly T[], fallback?: T): T =>
      read(key, `one of ${choices.join(', ')}`, (found): found is T => choices.includes(found as T), fallback),
    part: (key) => (own(key) === undefined ? undefined : readPart(own(key), file, name(key))),
    parts: (key) => {
      const list = read(key, 'a list', (found): found is unknown[] => Array.isArray(found), []);
      return list.map((one, i) => readPart(one, file, `${name(key)}[${i}]`));
    },
    wrong,
    unsupported: (key, expected, got = own(key)) =>
      tokenizerError(
        file,
        `${name(key)}: ${expected}`,
        describe(got),
        { field: name(key) },
        'Nothing else is implemented here, and ignoring it would change the tokens: use a tokenizer without it, or open an issue',
      ),
  };
}

const describe = (value: unknown): string =>
  value === undefined
    ? 'none'
    : shorten(typeof value === 'string' ? JSON.stringify(value) : String(JSON.stringify(value)));

const shorten = (text: string): string => (text.length > 80 ? `${text.slice(0, 79)}…` : text);

/** The error for a malformed tokenizer. */
export function tokenizerError(
  path: string,
  expected: string,
  got: string,
  facts: { readonly field?: string; readonly cause?: unknown } = {},
  next = 'Export it again with transformers (tokenizer.save_pretrained)',
): CheckpointError {
  const { cause, ...more } = facts;
  return new CheckpointError(
    'E_TEXT_TOKENIZER',
    `${path}: expected ${expected}, got ${got}. ${next}.`,
    { file: path, expected, got, ...more },
    { cause },
  );
}

const LFS = 'version https://git-lfs.github.com/spec/';

/** The object a file's text is. @throws CheckpointError E_TEXT_TOKENIZER for anything else, a Git LFS pointer by name */
export function parseJson(text: string, path: string): object {
  if (text.startsWith(LFS)) {
    throw tokenizerError(
      path,
      'JSON',
      'a Git LFS pointer, which stands for the file',
      {},
      'Run "git lfs pull" in its folder',
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw tokenizerError(path, 'JSON', (cause as Error).message, { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw tokenizerError(path, 'an object', Array.isArray(value) ? 'an array' : typeof value);
}
