// test/golden/images, made by scripts/golden/preprocess.py.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { LayerwiseError } from '../../src/base/index.js';
import type { Filter } from '../../src/images/index.js';

const root = fileURLToPath(new URL('../golden/images/', import.meta.url));

type Pixels = { readonly width: number; readonly height: number; readonly sha256: string };
export type Processed = {
  readonly shape: readonly number[];
  readonly pixels: string;
  readonly tensor: string;
  readonly mean: number;
  readonly std: number;
};

type Golden = {
  readonly decode: Readonly<Record<string, { readonly error: string } | (Pixels & { readonly oriented: Pixels })>>;
  readonly resize: readonly (readonly [file: string, width: number, height: number, filter: Filter, sha256: string])[];
  readonly crop: readonly (readonly [width: number, height: number, sha256: string])[];
  readonly processors: Readonly<
    Record<string, { readonly config: object; readonly images: Readonly<Record<string, Processed>> }>
  >;
  readonly imagenet: { readonly images: number; readonly sha256: string };
};

export const golden = JSON.parse(readFileSync(`${root}golden.json`, 'utf8')) as Golden;
export const imageNames = readdirSync(`${root}files`).sort();
export const imagePath = (name: string): string => `${root}files/${name}`;
export const imageBytes = (name: string): Uint8Array => readFileSync(imagePath(name));

export const sha256 = (data: Uint8Array | Float32Array): string =>
  createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex');

/** The code of the error that a promise ends with, or `no error`. Errors without a code fail the test. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof LayerwiseError) return error.code;
    throw error;
  }
  return 'no error';
}
