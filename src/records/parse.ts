// Turns external JSON into a record, or into an error that names the place and what was expected.

import type { z } from 'zod';
import { OptionError } from '../base/index.js';

const MAX_CHARACTERS = 64 * 1024 * 1024;

export function parseRecord<S extends z.ZodType>(
  schema: S,
  text: string,
  path: string,
  code: string,
  what: string,
  most = MAX_CHARACTERS,
): z.infer<S> {
  if (text.length > most) {
    throw new OptionError(code, `${path}: ${what} has at most ${most} characters, this has ${text.length}.`, {
      path,
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new OptionError(code, `${path}: expected ${what} in JSON; ${(cause as Error).message}.`, { path }, { cause });
  }
  return validateRecord(schema, value, path, code, what);
}

export function validateRecord<S extends z.ZodType>(
  schema: S,
  value: unknown,
  path: string,
  code: string,
  what: string,
): z.infer<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const place = issue.path.length > 0 ? `at ${issue.path.map(String).join('.')}: ` : '';
  throw new OptionError(code, `${path}: not ${what}: ${place}${issue.message}.`, {
    path,
    place: issue.path.map(String),
  });
}
