// Against scripts/golden/packed.py, which was written from docs/reference/format.md: quantised values, scales, and the bytes of every
// part of every layout, through a whole file.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { readSafetensors, type TensorInfo } from '../../src/checkpoint/index.js';
import { openPacked, type PackSettings } from '../../src/packed/index.js';
import { packMatrices, takeTensor } from './make.js';

const path = fileURLToPath(new URL('../golden/packed.safetensors', import.meta.url));
const { tensors } = await readSafetensors(path);
const file = readFileSync(path);
const bytesOf = ({ offset, length }: TensorInfo): Uint8Array => new Uint8Array(file.subarray(offset, offset + length));

const CASES: readonly [values: PackSettings['values'], layout: 'fixed' | 'sorted' | 'dense' | 'rows' | 'mask'][] = [
  ['int8', 'fixed'],
  ['int8', 'sorted'],
  ['int8', 'dense'],
  ['int4', 'fixed'],
  ['int4', 'sorted'],
  ['int4', 'dense'],
  ['int4', 'mask'],
  ['int3', 'dense'],
  ['int2', 'dense'],
  ['f32', 'rows'],
];

test.each(CASES)('%s %s: every part has the bytes that numpy gives it', async (values, form) => {
  const weights = tensors.get(`${values}-${form}.weights`)!;
  const [rows, columns] = weights.shape as [number, number];
  const data = new Float32Array(bytesOf(weights).buffer);
  const asked = { dense: 'dense', rows: 'auto', mask: 'smallest', fixed: 'tiles', sorted: 'tiles' } as const;
  const layout = asked[form];
  const packed = await openPacked(
    await packMatrices([{ name: 'w', rows, columns, data }], { values, layout, head: 'int8' }),
  );
  const memory = new Uint8Array(packed.weightBytes);
  await packed.readWeightsInto(memory);
  await packed.close();
  const encoded = takeTensor(packed, memory, 'w');
  const { layout: found, form: tiles, index } = { form: undefined, index: undefined, ...encoded.layout };
  expect(index ?? tiles ?? found).toBe(form);
  for (const [i, { name }] of encoded.layout.parts.entries()) {
    expect(encoded.parts[i], name).toEqual(bytesOf(tensors.get(`${values}-${form}.${name}`)!));
  }
  const parts = [...tensors.keys()].filter((key) => key.startsWith(`${values}-${form}.`));
  expect(parts.length).toBe(encoded.layout.parts.length + 1);
});
