// What a training run keeps on disk: each file appears whole or not at all, so a run killed at any moment goes on from the
// last state and computes the same numbers again. A file holds arrays by name, float32, and facts as JSON in its header.

import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CheckpointError, fileError } from '../base/index.js';
import {
  type Checkpoint,
  readSafetensors,
  readTensorFloat32,
  statIfThere,
  writeSafetensors,
} from '../checkpoint/index.js';

export type Arrays = ReadonlyMap<string, Float32Array>;

/** Writes arrays and facts to `path`. */
export async function writeState(path: string, arrays: Arrays, facts: unknown): Promise<void> {
  const tensors = [...arrays].map(([name, values]) => ({
    name,
    dtype: 'F32' as const,
    shape: [values.length],
    read: async () => new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  }));
  await writeSafetensors(path, tensors, { facts: JSON.stringify(facts) });
}

/**
 * Reads the facts of `path` and fills `arrays` with its values; undefined where there is no such file.
 * @throws CheckpointError E_CHECKPOINT_STATE where the file is of another run
 */
export async function readState(path: string, arrays: Arrays): Promise<unknown> {
  if (!(await statIfThere(path))) return undefined;
  const { tensors, metadata } = await readSafetensors(path);
  const source = { dir: dirname(path), tensors } as Pick<Checkpoint, 'dir' | 'tensors'> as Checkpoint;
  for (const [name, values] of arrays) {
    const tensor = tensors.get(name);
    if (tensor?.shape[0] !== values.length) {
      throw new CheckpointError(
        'E_CHECKPOINT_STATE',
        `${path}: expected ${values.length} numbers of ${name}, got ${tensor?.shape[0] ?? 'none'}. Remove the folder and start over.`,
        { file: path, tensor: name },
      );
    }
    values.set(await readTensorFloat32(source, name));
  }
  return JSON.parse(metadata.facts ?? 'null');
}

export async function removeState(path: string): Promise<void> {
  await rm(path, { force: true }).catch((error) => {
    throw fileError(error, path);
  });
}
