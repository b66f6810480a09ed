// Parses untrusted JSON. Before JSON.parse builds anything, one pass over the text limits its depth and its number of
// values (a header of 100 MB must not become gigabytes of objects). It also refuses what JSON readers disagree about: a key
// that occurs twice in one object (JSON.parse keeps the last one, others the first) and `__proto__`.

import { CheckpointError, isLfsPointer } from '../base/portable.js';

const MAX_DEPTH = 64;
const MAX_VALUES = 2_000_000; // about 200,000 tensors in one file; the largest known checkpoints have half as many in all their files

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `value` as JSON for a message, at most 80 characters. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** What is wrong with the text, or undefined. Does not assume that it is valid JSON. */
function findFault(text: string): string | undefined {
  const stack: (Set<string> | undefined)[] = []; // keys of the open objects; undefined for an array
  let values = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x22: {
        const start = i++;
        for (; i < text.length; i++) {
          const c = text.charCodeAt(i);
          if (c === 0x22) break;
          if (c === 0x5c) i++;
        }
        let next = i + 1;
        while (next < text.length && text.charCodeAt(next) <= 0x20) next++;
        const keys = stack.at(-1);
        if (!keys || text.charCodeAt(next) !== 0x3a) break;
        const key = decodeKey(text.slice(start, i + 1));
        if (key === '__proto__') return 'the key "__proto__"';
        if (keys.has(key)) return `the key ${show(key)} twice in one object`;
        keys.add(key);
        break;
      }
      case 0x7b:
      case 0x5b:
        stack.push(text.charCodeAt(i) === 0x7b ? new Set() : undefined);
        if (stack.length > MAX_DEPTH) return `more than ${MAX_DEPTH} levels of nesting`;
        values++;
        break;
      case 0x7d:
      case 0x5d:
        stack.pop();
        break;
      case 0x2c:
        values++;
        break;
    }
    if (values > MAX_VALUES) return `more than ${MAX_VALUES} values`;
  }
  return undefined;
}

function decodeKey(quoted: string): string {
  if (!quoted.includes('\\')) return quoted.slice(1, -1);
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return quoted; // JSON.parse of the whole reports it
  }
}

/** Parses bytes that must be one JSON object in UTF-8. @throws CheckpointError with `code` */
export function parseJsonObject(bytes: Uint8Array, file: string, code: string): JsonObject {
  const fail = (got: string, cause?: unknown): CheckpointError =>
    new CheckpointError(
      code,
      `${file}: expected a JSON object, got ${got}; download or export the checkpoint again.`,
      { file, expected: 'a JSON object', got },
      { cause },
    );
  if (isLfsPointer(bytes)) {
    const got = 'a Git LFS pointer';
    const message = `${file}: expected a JSON object, got ${got}; run \`git lfs pull\`.`;
    throw new CheckpointError(code, message, { file, expected: 'a JSON object', got });
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw fail('bytes that are not UTF-8', cause);
  }
  const fault = findFault(text);
  if (fault) throw fail(fault);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw fail(`invalid JSON (${(cause as Error).message})`, cause);
  }
  if (!isObject(value)) throw fail(show(value));
  return value;
}
