// How large a file is, and which layout a linear gets.

import { stat } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { countSlots } from '../../src/layouts/index.js';
import { openPacked } from '../../src/packed/index.js';
import { F32, INT4, INT8, packMatrices, randomMatrix } from './make.js';

describe.each([3, 4, 5, 8])('%i:16 in int8', (kept) => {
  test('the whole file is within 3 % of 12 · N bits for 16 weights', async () => {
    const [rows, columns] = [512, 4096];
    const data = randomMatrix(rows, columns, { kept, of: 16 }, kept);
    const path = await packMatrices([{ name: 'w', rows, columns, data }], INT8);
    const floor = (rows * columns * 12 * kept) / 16 / 8;
    const { size } = await stat(path);
    expect(size).toBeGreaterThanOrEqual(floor);
    expect(size).toBeLessThan(1.03 * floor);
    const packed = await openPacked(path);
    expect(packed.directory.tensors[0]!.layout).toMatchObject({ layout: 'tiles', form: 'fixed', slots: kept });
    await packed.close();
  });
});

async function layoutOf(data: Float32Array, rows: number, columns: number, settings = INT8) {
  const packed = await openPacked(await packMatrices([{ name: 'w', rows, columns, data }], settings));
  await packed.close();
  const { layout, reason, nonzeros } = packed.directory.tensors[0]!;
  const form = layout.layout === 'tiles' ? layout.form : layout.layout;
  return { form, reason, nonzeros, layout };
}

describe('the layout', () => {
  const [rows, columns] = [64, 512];
  test.each([
    ['2:4, which is 8:16', { kept: 2, of: 4 }, 'fixed'],
    ['4:8, which is 8:16', { kept: 4, of: 8 }, 'fixed'],
    ['4:16', { kept: 4, of: 16 }, 'fixed'],
    ['90 % without a pattern, in int8', { share: 0.9 }, 'sorted'],
    ['30 % without a pattern', { share: 0.3 }, 'dense'],
    ['15:16, too dense to gain', { kept: 15, of: 16 }, 'dense'],
    ['no zeros', { share: 0 }, 'dense'],
  ] as const)('of %s', async (what, zeros, form) => {
    for (const settings of what.endsWith('int8') ? [INT8] : [INT8, INT4]) {
      const found = await layoutOf(randomMatrix(rows, columns, zeros), rows, columns, settings);
      expect(found.form).toBe(form);
      expect(found.reason).toMatch(/bits a weight and about .* µs, against .*(dense|tiles)/);
    }
  });

  test('2:4 needs eight slots', async () => {
    const { layout } = await layoutOf(randomMatrix(rows, columns, { kept: 2, of: 4 }), rows, columns);
    expect(layout).toMatchObject({ slots: 8 });
  });

  test('as asked for, whatever it costs', async () => {
    const sparse = randomMatrix(rows, columns, { share: 0.9 });
    const full = randomMatrix(rows, columns, { share: 0 });
    expect(await layoutOf(sparse, rows, columns, { ...INT8, layout: 'dense' })).toMatchObject({
      form: 'dense',
      reason: expect.stringMatching(/^asked for/),
    });
    expect((await layoutOf(full, rows, columns, { ...INT8, layout: 'tiles' })).form).toBe('fixed');
    expect((await layoutOf(sparse, rows, columns, { ...F32, layout: 'dense' })).form).toBe('dense');
  });

  test('the smallest: masks for 8:16 in int4, though column numbers are quicker', async () => {
    for (const [kept, bits] of [
      [8, 3.125],
      [5, 2.625],
      [4, 2.125],
    ] as const) {
      const data = randomMatrix(rows, columns, { kept, of: 16 });
      const quick = await layoutOf(data, rows, columns, INT4);
      expect(quick.layout).not.toHaveProperty('index');
      const { layout } = await layoutOf(data, rows, columns, { ...INT4, layout: 'smallest' });
      expect((8 * layout.parts.reduce((sum, part) => sum + part.bytes, 0)) / (rows * columns)).toBe(bits);
      if (kept === 8) expect(layout).toMatchObject({ index: 'mask', slots: 8 });
    }
    const sparse = await layoutOf(randomMatrix(rows, columns, { share: 0.5 }), rows, columns, {
      ...F32,
      layout: 'smallest',
    });
    expect(sparse.form).toBe('rows');
  });

  test('of f32: rows where they are sparse', async () => {
    expect((await layoutOf(randomMatrix(rows, columns, { share: 0.7 }), rows, columns, F32)).form).toBe('rows');
    expect((await layoutOf(randomMatrix(rows, columns, { share: 0.2 }), rows, columns, F32)).form).toBe('dense');
    const wide = randomMatrix(1, 70_000, { share: 0.99 });
    const found = await layoutOf(wide, 1, 70_000, F32);
    expect(found).toMatchObject({ form: 'dense', reason: expect.stringMatching(/^too many columns for rows/) });
  });

  test('weights too small for their scale take no slot', async () => {
    const data = new Float32Array(8 * 16).fill(1e-6);
    for (let row = 0; row < 8; row++) data[row * 16 + row] = 1;
    const { layout, nonzeros } = await layoutOf(data, 8, 16, { ...INT8, layout: 'tiles' });
    expect(layout).toMatchObject({ slots: 1 });
    expect(nonzeros).toBe(8);
    expect([...countSlots({ rows: 8, columns: 16, q: data })]).toEqual([16]);
  });
});
