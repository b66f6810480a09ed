// Linears that a checkpoint has on a grid already (layerwise.scales): packed with their own integers and scales, whatever
// the option says, beside others that are quantised; what a layout cannot hold is refused.

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { writeScales } from '../../src/checkpoint/index.js';
import { decodeLinear, decodeQuantised, RANGES } from '../../src/layouts/index.js';
import { openPacked, type PackSettings, quantise, writePacked } from '../../src/packed/index.js';
import { fromFloat32, nearestHalf, toFloat32 } from '../../src/tensor/index.js';
import { codeOf, makeDir } from '../checkpoint/make.js';
import { INT4, INT8, type Matrix, makeSource, randomMatrix, takeTensor } from './make.js';

const [rows, columns] = [19, 300];

type Grid = Matrix & { readonly bits: number; readonly q: Int8Array; readonly scales: Float32Array };

/** A matrix whose weights are integers of so many bits times a scale for each `group` columns. */
function onGrid(name: string, bits: number, group: number, zeros = 0): Grid {
  const [low, high] = bits === 8 ? RANGES.int8 : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  const random = randomMatrix(rows, columns, { share: zeros }, bits);
  const q = Int8Array.from(random, (w) => Math.max(low, Math.min(high, Math.round((w * (high - low)) / 2))));
  const groups = Math.ceil(columns / group);
  const scales = Float32Array.from({ length: rows * groups }, (_, i) => {
    return nearestHalf(((i % 7) + 1) * 0.01 * (bits < 8 && i % 2 === 1 ? -1 : 1));
  });
  const data = Float32Array.from(q, (value, i) => {
    return value * scales[Math.floor(i / columns) * groups + Math.floor((i % columns) / group)]!;
  });
  return { name, rows, columns, data, bits, q, scales };
}

async function packed(
  grids: readonly Grid[],
  others: readonly Matrix[],
  settings: PackSettings,
  dtype = 'BF16' as const,
) {
  const source = await makeSource([...grids, ...others], dtype);
  await writeScales(source.checkpoint.dir, grids);
  const path = join(await makeDir(), 'x.lw');
  await writePacked(path, source, settings, silent);
  const model = await openPacked(path);
  const memory = new Uint8Array(model.weightBytes);
  await model.readWeightsInto(memory);
  await model.close();
  return { model, take: (name: string) => takeTensor(model, memory, name) };
}

test('each bit width keeps its integers and scales, beside a linear without any', async () => {
  const grids = [onGrid('two', 2, 128), onGrid('three', 3, 128), onGrid('four', 4, 128), onGrid('eight', 8, columns)];
  const other = { name: 'other', rows, columns, data: randomMatrix(rows, columns, { share: 0 }) };
  for (const settings of [INT8, INT4]) {
    const { model, take } = await packed(grids, [other], settings);
    for (const { name, bits, q, scales } of grids) {
      const { values, ...found } = decodeQuantised(take(name));
      expect(values).toBe(`int${bits}`);
      expect(found).toEqual({ rows, columns, q, scales });
      const nonzeros = q.reduce((sum, value) => sum + (value === 0 ? 0 : 1), 0);
      expect(model.tensors.get(name)).toMatchObject({ nonzeros, rounded: 0 });
    }
    const stored = toFloat32(fromFloat32(other.data, 'BF16'), 'BF16');
    const { matrix } = quantise('other', stored, rows, columns, settings.values as 'int8' | 'int4');
    expect(decodeQuantised(take('other'))).toEqual(matrix);
  }
});

test('zeros of a grid are left out, and a scale for a whole row is one for each 128 columns', async () => {
  const sparse = onGrid('sparse', 4, 128, 0.8);
  const row = onGrid('row', 3, columns);
  const { take } = await packed([sparse, row], [], INT4);
  expect(take('sparse').layout.layout).toBe('tiles');
  expect(decodeQuantised(take('sparse')).q).toEqual(sparse.q);
  const found = decodeQuantised(take('row'));
  expect(found.q).toEqual(row.q);
  expect(found.scales).toEqual(Float32Array.from({ length: rows * 3 }, (_, i) => row.scales[Math.floor(i / 3)]!));
});

test('f32 stores the weights as they are', async () => {
  const grid = onGrid('w', 3, 128);
  const { take } = await packed([grid], [], { values: 'f32', layout: 'auto', head: 'f32' });
  expect(decodeLinear(take('w'))).toEqual(toFloat32(fromFloat32(grid.data, 'BF16'), 'BF16'));
});

test.each([
  ['groups of 32', onGrid('w', 4, 32), INT4],
  ['groups of 64', onGrid('w', 2, 64), INT4],
  ['groups in 8 bits', onGrid('w', 8, 128), INT8],
])('%s are refused', async (_, grid, settings) => {
  await expect(packed([grid], [], settings)).rejects.toThrow(/layerwise\.scales: "w": expected .*groups of/);
  expect(await codeOf(packed([grid], [], settings))).toBe('E_UNSUPPORTED_GRID');
});

test('a scale that is no float16 is refused, and so are tiles of 3 bits', async () => {
  const grid = onGrid('w', 4, 128);
  const scales = grid.scales.map((scale) => scale * 1.0001);
  const data = grid.data.map(
    (_, i) => grid.q[i]! * scales[Math.floor(i / columns) * 3 + Math.floor((i % columns) / 128)]!,
  );
  expect(await codeOf(packed([{ ...grid, scales, data }], [], INT4))).toBe('E_UNSUPPORTED_GRID');
  expect(await codeOf(packed([onGrid('w', 3, 128)], [], { ...INT4, layout: 'tiles' }))).toBe('E_UNSUPPORTED_TILES');
});
