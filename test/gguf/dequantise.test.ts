// The judge is ggml's own Python package: scripts/golden/gguf_blocks.py.

import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { readFully, readSafetensors, withFile } from '../../src/checkpoint/index.js';
import { BLOCK_TYPES, dequantise } from '../../src/gguf/index.js';

const path = fileURLToPath(new URL('../golden/gguf.safetensors', import.meta.url));
const { tensors } = await readSafetensors(path);

async function bytesOf(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const { offset, length } = tensors.get(name)!;
  const bytes = new Uint8Array(length);
  await withFile(path, (handle) => readFully(handle, bytes, offset, path));
  return bytes;
}

test('every type that we read has its golden values', () => {
  const names = Object.keys(BLOCK_TYPES).flatMap((name) => [`${name}.blocks`, `${name}.weights`]);
  expect([...tensors.keys()].sort()).toEqual(names.sort());
});

describe.each(Object.values(BLOCK_TYPES))('$name', (type) => {
  test('gives the weights of ggml to the last bit', async () => {
    const blocks = await bytesOf(`${type.name}.blocks`);
    expect(blocks.length % type.bytes).toBe(0);
    const expected = new Uint32Array((await bytesOf(`${type.name}.weights`)).buffer);
    const weights = dequantise(blocks, type);
    expect(weights.length).toBe((blocks.length / type.bytes) * type.weights);
    expect(new Uint32Array(weights.buffer)).toEqual(expected);
    // Also where the bytes start anywhere in their buffer.
    const moved = new Uint8Array(blocks.length + 1).subarray(1);
    moved.set(blocks);
    expect(new Uint32Array(dequantise(moved, type).buffer)).toEqual(expected);
  });

  test('takes whole blocks only', () => {
    if (type.bytes > 1) expect(() => dequantise(new Uint8Array(type.bytes + 1), type)).toThrow('whole blocks');
  });
});
