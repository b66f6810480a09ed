// Checks of single options. Every message names the option as the command line spells it, what was expected and what came.

import { OptionError } from '../base/index.js';

/** The code of an option's error: `max-body` → E_OPTION_MAX_BODY. */
export const optionCode = (option: string): string => `E_OPTION_${option.toUpperCase().replaceAll('-', '_')}`;

export function oneOf<const T extends string>(option: string, value: string, allowed: readonly T[]): T {
  if ((allowed as readonly string[]).includes(value)) return value as T;
  throw new OptionError(
    optionCode(option),
    `--${option}: expected one of ${allowed.join(', ')}, got ${JSON.stringify(value)}.`,
    { option, expected: allowed, got: value },
  );
}

export function wholeNumber(option: string, value: number, low: number, high: number): number {
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  throw new OptionError(
    optionCode(option),
    `--${option}: expected a whole number from ${low} to ${high}, got ${value}.`,
    { option, low, high, got: value },
  );
}

export function realNumber(option: string, value: number, low: number, high: number): number {
  if (value >= low && value <= high) return value;
  throw new OptionError(optionCode(option), `--${option}: expected a number from ${low} to ${high}, got ${value}.`, {
    option,
    got: value,
  });
}

export function conflict(option: string, other: string, why: string): never {
  throw new OptionError('E_OPTION_CONFLICT', `--${option} cannot be combined with --${other}: ${why}.`, {
    option,
    other,
  });
}

/** @throws OptionError E_OPTION_… for a required option that is missing */
export function refuseMissing(option: string, expected: string): never {
  throw new OptionError(optionCode(option), `--${option}: expected ${expected}; it was not given.`, { option });
}

/** Refuses a value that is not what was expected, in words. */
export function refuseValue(option: string, expected: string, got: unknown): never {
  const said = typeof got === 'string' ? JSON.stringify(got) : got;
  throw new OptionError(optionCode(option), `--${option}: expected ${expected}, got ${said}.`, {
    option,
    expected,
    got,
  });
}

/** `20..23`, or `20` alone; undefined where it is neither, or ends before it begins. */
export function parseRange(text: string): { readonly first: number; readonly last: number } | undefined {
  const range = /^(\d+)(?:\.\.(\d+))?$/.exec(text);
  const [first, last] = [Number(range?.[1]), Number(range?.[2] ?? range?.[1])];
  return first <= last ? { first, last } : undefined;
}
