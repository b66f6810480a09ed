// Typed access to the values of a header: a value of another type is refused by its key.

import type { GgufHeader } from './header.js';
import { refuseFile, show, unsupportedGguf } from './refuse.js';
import type { NumberArray, Value } from './values.js';

/** A JSON object that is written. */
export type Json = Readonly<Record<string, unknown>>;

export type Facts = {
  readonly path: string;
  has(key: string): boolean;
  raw(key: string): Value | undefined;
  /** A whole number of at least `least`, below 2^31. Without `fallback` it must be there. */
  whole(key: string, least: number, fallback?: number): number;
  /** The same for each of `blocks`: a list of as many, or one number for all. */
  perBlock(key: string, least: number, blocks: number, fallback?: readonly number[]): readonly number[];
  /** A finite number, as the shortest decimal that is the file's float32. */
  number(key: string, fallback?: number): number;
  flag(key: string, fallback: boolean): boolean;
  text(key: string): string | undefined;
  strings(key: string): readonly string[];
  /** Undefined where it is absent. */
  numbers(key: string): readonly number[] | undefined;
};

const LARGEST = 2 ** 31 - 1;

export function factsOf({ path, values }: Pick<GgufHeader, 'path' | 'values'>): Facts {
  const wrong = (key: string, expected: string, got: unknown) =>
    refuseFile(path, `${key} to be ${expected}`, got === undefined ? 'none' : describe(got));
  return {
    path,
    has: (key) => values.has(key),
    raw: (key) => values.get(key),
    whole(key, least, fallback) {
      const value = sameForAll(values.get(key), path, key) ?? fallback;
      if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= LARGEST) return value;
      throw wrong(key, `a whole number of at least ${least}`, value);
    },
    perBlock(key, least, blocks, fallback) {
      const value = values.get(key) ?? fallback;
      const list = typeof value === 'number' ? new Array<number>(blocks).fill(value) : value;
      const numbers = list !== undefined && (isNumbers(list) || list === fallback) ? Array.from(list, Number) : [];
      const whole = (one: number): boolean => Number.isInteger(one) && one >= least && one <= LARGEST;
      if (numbers.length === blocks && numbers.every(whole)) return numbers;
      throw wrong(key, `${blocks} whole numbers of at least ${least}, one for each block`, value);
    },
    number(key, fallback) {
      const value = values.get(key) ?? fallback;
      if (typeof value === 'number' && Number.isFinite(value)) return shortest(value);
      throw wrong(key, 'a number', value);
    },
    flag(key, fallback) {
      const value = values.get(key) ?? fallback;
      if (typeof value === 'boolean') return value;
      throw wrong(key, 'true or false', value);
    },
    text(key) {
      const value = values.get(key);
      if (value === undefined || typeof value === 'string') return value;
      throw wrong(key, 'text', value);
    },
    strings(key) {
      const value = values.get(key);
      if (isStrings(value)) return value;
      throw wrong(key, 'a list of texts', value);
    },
    numbers(key) {
      const value = values.get(key);
      if (value === undefined) return undefined;
      if (isNumbers(value)) return Array.from(value, Number);
      throw wrong(key, 'a list of numbers', value);
    },
  };
}

const isStrings = (value: Value | undefined): value is readonly string[] => Array.isArray(value);
const isNumbers = (value: unknown): value is NumberArray => ArrayBuffer.isView(value);

const describe = (value: unknown): string =>
  ArrayBuffer.isView(value) || Array.isArray(value)
    ? `a list of ${(value as unknown as { length: number }).length}`
    : show(value);

/** Some files give a number for each block. @throws UnsupportedError E_UNSUPPORTED_GGUF where they differ */
function sameForAll(value: Value | undefined, path: string, key: string): Value | undefined {
  if (value === undefined || !isNumbers(value) || value.length === 0) return value;
  const all = new Set(Array.from(value, Number));
  if (all.size === 1) return [...all][0];
  const next = 'start from the safetensors checkpoint that it was made from';
  throw unsupportedGguf(path, `${key} with ${all.size} values`, 'the same value for every block', next);
}

/** The shortest decimal that rounds to the same float32, so that 9.999999747e-6 is 1e-5 again. */
function shortest(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
