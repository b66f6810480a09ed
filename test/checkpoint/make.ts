// Checkpoints for tests, written by hand rather than by the room's own writer, so that they can be wrong.

import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { LayerwiseError } from '../../src/base/index.js';

const made: string[] = [];
afterAll(async () => {
  for (const dir of made.splice(0)) await rm(dir, { recursive: true, force: true });
});

/** An empty directory that goes when the tests of this file are done. */
export async function makeDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'layerwise-checkpoint-'));
  made.push(dir);
  return dir;
}

/** Bytes of a safetensors file with this header, whatever it says. */
export function fileBytes(header: unknown, data: Uint8Array, declared?: bigint): Buffer {
  const json = typeof header === 'string' ? Buffer.from(header) : Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(declared ?? BigInt(json.length));
  return Buffer.concat([length, json, data]);
}

/** 0, 1, 2, … so that every byte tells where it came from. */
export const counting = (length: number, first = 0): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i + first) & 0xff);

export const entry = (dtype: string, shape: readonly unknown[], begin: unknown, end: unknown) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

/** a: F16 [2, 3], b: BF16 [4], c: F32 [2], d: I64 scalar; 36 bytes of data. */
export const header = {
  __metadata__: { format: 'pt' },
  a: entry('F16', [2, 3], 0, 12),
  b: entry('BF16', [4], 12, 20),
  c: entry('F32', [2], 20, 28),
  d: entry('I64', [], 28, 36),
};
export const data = counting(36);

/** A directory with config.json and the files given. */
export async function makeCheckpoint(files: Readonly<Record<string, string | Uint8Array | object>>): Promise<string> {
  const dir = await makeDir();
  for (const [name, content] of Object.entries({ 'config.json': { model_type: 'llama' }, ...files })) {
    const raw = typeof content === 'string' || content instanceof Uint8Array;
    await writeFile(join(dir, name), raw ? content : JSON.stringify(content));
  }
  return dir;
}

/** Two shards, a and b in the second, c in the first, with their index. */
export const sharded = {
  'model-00001-of-00002.safetensors': fileBytes({ c: entry('F32', [2], 0, 8) }, counting(8)),
  'model-00002-of-00002.safetensors': fileBytes(
    { b: entry('BF16', [2], 6, 10), a: entry('F16', [3], 0, 6) },
    counting(10, 100),
  ),
  'model.safetensors.index.json': {
    metadata: { total_size: 18 },
    weight_map: {
      a: 'model-00002-of-00002.safetensors',
      b: 'model-00002-of-00002.safetensors',
      c: 'model-00001-of-00002.safetensors',
    },
  },
} as const;

/** The code of the LayerwiseError that `act` rejects with; any other error is rethrown. */
export async function codeOf(act: Promise<unknown>): Promise<string> {
  try {
    await act;
  } catch (error) {
    if (error instanceof LayerwiseError) return error.code;
    throw error;
  }
  return 'no error';
}

/** SHA-256 of every file below `dir`, by relative path. */
export async function hashTree(dir: string): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const found of await readdir(dir, { withFileTypes: true, recursive: true })) {
    if (found.isDirectory()) continue;
    const path = join(found.parentPath, found.name);
    hashes[path.slice(dir.length + 1)] = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
  }
  return hashes;
}
