// Golden values of a solver: golden.json beside golden.safetensors, and Gram matrices stored as their upper triangles.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readSafetensors } from '../../src/checkpoint/index.js';
import { toFloat32 } from '../../src/tensor/index.js';

/** What is in test/golden/`name`. */
export async function readSolverGolden(name: string) {
  const folder = fileURLToPath(new URL(`../golden/${name}/`, import.meta.url));
  const file = `${folder}golden.safetensors`;
  const { tensors } = await readSafetensors(file);
  const all = readFileSync(file);
  const bytesOf = (tensor: string): Uint8Array => {
    const { offset, length } = tensors.get(tensor)!;
    return new Uint8Array(all.subarray(offset, offset + length));
  };
  return {
    json: JSON.parse(readFileSync(`${folder}golden.json`, 'utf8')) as unknown,
    tensors,
    bytesOf,
    floatsOf: (tensor: string): Float32Array => toFloat32(bytesOf(tensor), 'F32'),
  };
}

/** The whole of a symmetric matrix, from its upper triangle row by row. */
export function unpack(upper: Float32Array, n: number): Float32Array {
  const whole = new Float32Array(n * n);
  for (let i = 0, at = 0; i < n; i++) {
    for (let j = i; j < n; j++, at++) {
      whole[i * n + j] = upper[at]!;
      whole[j * n + i] = upper[at]!;
    }
  }
  return whole;
}
