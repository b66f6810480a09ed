// Layouts: what goes in comes out, sizes are those that are promised, and a damaged part never passes.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checkLayout,
  checkLinear,
  countSlots,
  decodeLinear,
  decodeQuantised,
  type EncodedLinear,
  encodeDense,
  encodeFixedTiles,
  encodeMaskedTiles,
  encodeRows,
  encodeSortedTiles,
  type LinearLayout,
  layoutBytes,
  layoutSortedTiles,
  tileBytes,
} from '../../src/layouts/index.js';
import { type Case, cases, floatLayouts, floats, integerLayouts, quantised } from '../kernels/matrices.js';
import { runs } from '../scale.js';

const values = fc.constantFrom('int8' as const, 'int4' as const, 'int3' as const, 'int2' as const);

test('every layout gives back what was encoded, and passes its check', () => {
  fc.assert(
    fc.property(cases, values, (c, type) => {
      const matrix = quantised(c, type);
      for (const encoded of integerLayouts(c, type)) {
        checkLinear(encoded);
        const { q, scales } = decodeQuantised(encoded);
        expect(q).toEqual(matrix.q);
        expect(scales).toEqual(matrix.scales);
      }
      for (const encoded of floatLayouts(c)) {
        checkLinear(encoded);
        expect(decodeLinear(encoded)).toEqual(floats(c).data);
      }
    }),
    { numRuns: runs(100) },
  );
});

test('a description survives JSON, and says how many bytes there are', () => {
  fc.assert(
    fc.property(cases, values, (c, type) => {
      for (const { layout, parts } of [...integerLayouts(c, type), ...floatLayouts(c)]) {
        expect(JSON.parse(JSON.stringify(layout))).toEqual(layout);
        expect(layout.parts.map(({ bytes }) => bytes)).toEqual(parts.map(({ byteLength }) => byteLength));
        expect(layoutBytes(layout)).toBe(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
      }
      if (type === 'int3' || type === 'int2') return;
      const matrix = quantised(c, type);
      expect(layoutSortedTiles(c, type, countSlots(matrix))).toEqual(encodeSortedTiles(matrix).layout);
    }),
    { numRuns: runs(100) },
  );
});

test.each([1, 2, 3, 4, 5, 8, 16])('%d:16 in int8 costs 12 bits a slot, within 3 %', (n) => {
  const [rows, columns] = [64, 4096];
  const q = Int8Array.from({ length: rows * columns }, (_, i) => (i % 16 < n ? 1 : 0));
  const { layout } = encodeFixedTiles({ rows, columns, values: 'int8', q, scales: new Float32Array(rows).fill(1) });
  expect(layout.slots).toBe(n);
  const bits = (layoutBytes(layout) * 8) / ((rows * columns) / 16);
  expect(bits).toBeGreaterThanOrEqual(12 * n);
  expect(bits).toBeLessThanOrEqual(12 * n * 1.03);
});

test('one tile of two slots, by hand', () => {
  const q = new Int8Array(8 * 16);
  q.set([0, 0, 5, 0, 0, 0, 0, -3]); // row 0: columns 2 and 7
  q[7 * 16 + 15] = 9; // row 7
  const tile = encodeFixedTiles({ rows: 8, columns: 16, values: 'int8', q, scales: new Float32Array(8) }).parts[0]!;
  expect([...tile]).toEqual([2, 7, 0, 0, 0, 0, 0xf0, 0, 5, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0]);
  q[7 * 16 + 15] = 7;
  const small = encodeFixedTiles({ rows: 8, columns: 16, values: 'int4', q, scales: new Float32Array(8) }).parts[0]!;
  expect([...small]).toEqual([0x52, 0, 0xd7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0, 0]);
});

test.each([
  ['int3', 3.125],
  ['int2', 2.125],
] as const)('dense %s costs %d bits a weight', (type, bits) => {
  const c: Case = { rows: 64, columns: 4096, density: 1, saturated: false, seed: 1 };
  expect((layoutBytes(encodeDense(quantised(c, type)).layout) * 8) / (64 * 4096)).toBe(bits);
});

test('a row of int2 and one of int3, by hand', () => {
  const q = new Int8Array(128);
  q.set([1, -1], 0);
  q[4] = -2; // step 1
  q[31] = 1; // step 7, byte 3
  const encode = (values: 'int3' | 'int2') =>
    encodeDense({ rows: 1, columns: 128, values, q, scales: Float32Array.of(1) }).parts[0]!;
  const two = encode('int2');
  expect([...two.slice(0, 4), two[32 + 3]]).toEqual([0b10100011, 0b10101001, 0b10101010, 0b10101010, 0b11101010]);
  expect(two.filter((byte) => byte !== 0b10101010).length).toBe(3);
  q.set([3, -4], 24); // step 6: 111 and 000
  q.set([-3, 2], 28); // step 7: 001 and 110
  const three = encode('int3');
  const at = (vector: number): readonly number[] => [...three.slice(vector * 32, vector * 32 + 3)];
  expect(at(0)).toEqual([0b11_010_101, 0b00_100_011, 0b00_100_100]);
  expect(at(1)).toEqual([0b01_100_100, 0b10_100_100, 0b00_100_100]);
  expect(at(2)).toEqual([0b01_100_100, 0b10_100_100, 0b11_100_100]);
});

test.each([
  [6, 2.5],
  [8, 3],
])('%d:16 with masks costs %d bits a weight', (n, bits) => {
  const [rows, columns] = [64, 4096];
  const q = Int8Array.from({ length: rows * columns }, (_, i) => (i % 16 < n ? -8 : 0));
  const { layout } = encodeMaskedTiles({
    rows,
    columns,
    values: 'int4',
    q,
    scales: new Float32Array(rows * 32).fill(1),
  });
  expect(layout).toMatchObject({ slots: n, index: 'mask' });
  expect((layoutBytes(layout) * 8) / (rows * columns)).toBe(bits + 0.125);
});

test('one tile with masks, by hand', () => {
  const q = new Int8Array(8 * 16);
  q.set([5, -3, 1, 1, 1, 2], 0);
  q.set([0, 0, 0, 0, 0, 0, 7, 0, 0, 0], 16); // row 1: the empty slots are in the first columns without a weight
  q.set([1, 2, 3, 4, 5, 6], 7 * 16 + 10);
  const matrix = { rows: 8, columns: 16, values: 'int4' as const, q, scales: new Float32Array(8) };
  const tile = encodeMaskedTiles(matrix).parts[0]!;
  const masks = new Uint16Array(tile.slice(0, 16).buffer);
  expect([masks[0], masks[1], masks[7]]).toEqual([0b111111, 0b1011111, 0b111111 << 10]);
  expect([...tile.slice(16, 22)]).toEqual([0xd5, 0x11, 0x21, 0x00, 0x00, 0x70]);
  expect([...tile.slice(16 + 21)]).toEqual([0x21, 0x43, 0x65]);
});

test('masks with another number of bits are refused, and so are other slots and values', () => {
  const sparse = quantised({ rows: 20, columns: 90, density: 0.2, saturated: false, seed: 3 }, 'int4');
  const thin = { ...sparse, q: sparse.q.map((value, i) => ((i % 90) % 16 < 6 ? value : 0)) };
  for (const slots of [6, 8]) {
    const encoded = encodeMaskedTiles(thin, slots);
    checkLinear(encoded);
    const tiles = encoded.parts[0]!.slice();
    tiles[16 + 4 * slots]! ^= 4;
    expect(() => checkLinear({ ...encoded, parts: [tiles, encoded.parts[1]!] })).toThrow(/a mask has another number/);
    for (const change of [{ slots: 7 }, { slots: 4 }, { values: 'int8' }, { index: 'other' }]) {
      expect(() => checkLayout({ ...encoded.layout, ...change } as LinearLayout), JSON.stringify(change)).toThrow();
    }
  }
  const full = quantised({ rows: 3, columns: 20, density: 1, saturated: true, seed: 1 }, 'int4');
  expect(() => encodeMaskedTiles(full)).toThrow(/6 or 8, and at least 16/);
  expect(() => encodeMaskedTiles({ ...full, values: 'int8', scales: new Float32Array(3) })).toThrow(/masks of int8/);
});

test('tiles of one row group are ordered by slots, empty ones left out', () => {
  const q = new Int8Array(8 * 64);
  q.fill(1, 0, 3);
  q.fill(1, 32, 33);
  q.fill(1, 48, 51);
  const encoded = encodeSortedTiles({ rows: 8, columns: 64, values: 'int8', q, scales: new Float32Array(8) });
  const [starts, counts, order, tiles] = encoded.parts;
  expect([...new Uint32Array(starts!.buffer)]).toEqual([0, 0, 3, tiles!.length / 4]);
  expect([...new Uint16Array(counts!.buffer)].slice(0, 4)).toEqual([1, 0, 2, 0]);
  expect([...new Uint16Array(order!.buffer)]).toEqual([2, 0, 3]);
  expect(tiles!.length).toBe(tileBytes(1, 'int8') + 2 * tileBytes(3, 'int8'));
});

describe('what cannot be encoded is refused by name', () => {
  const matrix = quantised({ rows: 3, columns: 20, density: 1, saturated: true, seed: 1 }, 'int8');
  test.each([
    ['too few slots', () => encodeFixedTiles(matrix, 15), /15 slots.*from 16/],
    ['a matrix of another size', () => encodeDense({ ...matrix, rows: 4 }), /expected 80 integers, got 60/],
    ['-128', () => encodeDense({ ...matrix, q: matrix.q.map(() => -128) }), /got -128/],
    ['8 in int4', () => encodeDense({ ...matrix, values: 'int4', q: matrix.q.map(() => 8) }), /got 8/],
    ['-9 in int4', () => encodeDense({ ...matrix, values: 'int4', q: matrix.q.map(() => -9) }), /got -9/],
    [
      'an int4 scale that is not finite',
      () => encodeDense({ ...matrix, values: 'int4', q: new Int8Array(60), scales: Float32Array.of(1, Infinity, 1) }),
      /finite/,
    ],
    [
      'an int4 scale that is no float16',
      () => encodeDense({ ...matrix, values: 'int4', q: new Int8Array(60), scales: Float32Array.of(1, 0.1, 1) }),
      /float16/,
    ],
    [
      'tiles of int3',
      () => encodeSortedTiles(quantised({ rows: 3, columns: 20, density: 1, saturated: true, seed: 1 }, 'int3')),
      /int3: expected/,
    ],
    ['an int8 scale below zero', () => encodeDense({ ...matrix, scales: Float32Array.of(1, -1, 1) }), /at least zero/],
    ['no rows', () => encodeRows({ rows: 0, columns: 4, data: new Float32Array() }), /0 x 4/],
    [
      'rows of more than 65,536 columns',
      () => encodeRows({ rows: 1, columns: 65537, data: new Float32Array(65537) }),
      /rows f32 of 65537 columns.*dense f32/,
    ],
  ])('%s', (_, encode, message) => expect(encode).toThrow(message));

  test('65,536 columns are taken', () => {
    const data = new Float32Array(65536);
    data[65535] = 3;
    expect(decodeLinear(encodeRows({ rows: 1, columns: 65536, data }))[65535]).toBe(3);
  });
});

describe('a damaged file', () => {
  const base: Case = { rows: 20, columns: 90, density: 0.4, saturated: false, seed: 3 };
  const all = [
    ...(['int8', 'int4', 'int3', 'int2'] as const).flatMap((values) => integerLayouts(base, values)),
    ...floatLayouts(base),
  ];

  test('with a part of another size, or another description, is refused', () => {
    for (const { layout, parts } of all) {
      for (const [i, part] of parts.entries()) {
        const shorter = parts.map((one, j) => (i === j ? one.slice(0, -1) : one));
        expect(() => checkLinear({ layout, parts: shorter })).toThrow(/expected parts/);
        const told = layout.parts.map((one, j) => (i === j ? { ...one, bytes: one.bytes - 4 } : one));
        const cut = parts.map((one, j) => (i === j ? part.slice(0, -4) : one));
        expect(() => checkLinear({ layout: { ...layout, parts: told } as LinearLayout, parts: cut })).toThrow();
      }
      const changes = [
        { rows: 29 },
        { rows: 1e10 },
        { columns: 1e10 },
        { rows: 1.5 },
        { rows: -1 },
        { layout: 'other' },
        { parts: [] },
      ];
      for (const change of [...changes, { values: 'int5' }, { slots: 17 }, { form: 'other' }]) {
        if ('form' in change && layout.layout !== 'tiles') continue;
        if ('slots' in change && !('slots' in layout)) continue;
        expect(() => checkLayout({ ...layout, ...change } as LinearLayout), JSON.stringify(change)).toThrow();
      }
    }
  });

  test('whose numbers were changed is refused, or reads nothing outside', () => {
    const change = fc.record({ which: fc.nat(), part: fc.nat(), at: fc.nat(), byte: fc.nat({ max: 255 }) });
    fc.assert(
      fc.property(change, ({ which, part, at, byte }) => {
        const { layout, parts } = all[which % all.length]!;
        const damaged = parts.map((one) => one.slice());
        const hit = damaged[part % damaged.length]!;
        hit[at % hit.length] = byte;
        const encoded: EncodedLinear = { layout, parts: damaged };
        const name = layout.parts[part % damaged.length]!.name;
        const index = ['starts', 'counts', 'offsets'].includes(name);
        const same = parts[part % damaged.length]![at % hit.length] === byte;
        if (index && !same) expect(() => checkLinear(encoded)).toThrow(/damaged/);
        else {
          try {
            checkLinear(encoded);
          } catch {
            return;
          }
          if (layout.values === 'f32') decodeLinear(encoded);
          else expect(decodeQuantised(encoded).q.length).toBe(20 * 90);
        }
      }),
      { numRuns: runs(500) },
    );
  });

  test('a tile out of range or listed twice, a column out of range or order', () => {
    const sorted = encodeSortedTiles(quantised(base, 'int8'));
    for (const tile of [6, 65535, new Uint16Array(sorted.parts[2]!.buffer)[1]!]) {
      const order = sorted.parts[2]!.slice();
      new Uint16Array(order.buffer)[0] = tile;
      expect(() => checkLinear({ ...sorted, parts: sorted.parts.with(2, order) })).toThrow(/row group 0 has tile \d+/);
    }
    const rows = encodeRows(floats(base));
    for (const column of [90, 65535, new Uint16Array(rows.parts[1]!.buffer)[1]!]) {
      const where = rows.parts[1]!.slice();
      new Uint16Array(where.buffer)[0] = column;
      expect(() => checkLinear({ ...rows, parts: rows.parts.with(1, where) })).toThrow(/column \d+ is out of order/);
    }
  });
});
