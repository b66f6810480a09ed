// Writes a checkpoint that says something else in config.json than its source.

import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError } from '../base/index.js';
import { type TensorInfo, type TensorToWrite, writeReplaced } from '../checkpoint/index.js';
import type { Model } from '../model/index.js';

/** Makes an empty directory, in place of one that a killed run left. */
export async function renew(dir: string): Promise<void> {
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir).catch((error) => {
    throw fileError(error, dir);
  });
}

/** Writes what each tensor of the source becomes, and config.json mended, into `dir`, which is made anew. */
export async function writeMended(
  { checkpoint }: Model,
  dir: string,
  become: (tensor: TensorInfo) => readonly TensorToWrite[],
  mend: (config: string) => string,
): Promise<void> {
  await renew(dir);
  try {
    const config = await readFile(join(checkpoint.dir, 'config.json'), 'utf8');
    await writeReplaced(checkpoint, dir, become, { 'config.json': mend(config) });
  } catch (error) {
    throw fileError(error, dir);
  }
}
