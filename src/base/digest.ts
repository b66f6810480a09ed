// Digests: of text or bytes, and of a JSON value whatever the order of its keys. They name steps, trials and runs.

import { createHash } from 'node:crypto';

export const sha256 = (data: string | NodeJS.ArrayBufferView): string =>
  createHash('sha256').update(data).digest('hex');

/** JSON with sorted keys; what is undefined in an object is left out. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, one]) => [key, canonical(one)]));
}

/** SHA-256 of a value's canonical JSON. */
export const digestOf = (value: unknown): string => sha256(JSON.stringify(canonical(value)));
