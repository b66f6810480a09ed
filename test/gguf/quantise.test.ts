// Blocks against a plain twin of ggml's rules (Q8_0, Q4_0), bounds on errors (K-quants), zeros, and files that our reader reads
// back. scripts/golden/gguf_quantise.py compares with gguf-py and ggml themselves.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import {
  BLOCK_TYPES,
  dequantise,
  type GgufValue,
  keepsZeros,
  quantise,
  readGguf,
  WRITTEN_TYPES,
  type WrittenType,
  writeGguf,
} from '../../src/gguf/index.js';
import { nearestHalf } from '../../src/tensor/index.js';
import { normal } from '../api/make.js';
import { codeOf } from '../checkpoint/make.js';
import { runs } from '../scale.js';

const draw = (seed: number, sparsity = 0, n = 4096): Float32Array => {
  const rng = createRng(seed);
  return Float32Array.from({ length: n }, () => (rng.uniform() < sparsity ? 0 : 0.05 * normal(rng)));
};
const there = (W: Float32Array, type: WrittenType): Float32Array =>
  dequantise(quantise('w', W, type), BLOCK_TYPES[type]);
const errorOf = (W: Float32Array, back: ArrayLike<number>, from = 0, to = W.length): number => {
  let sum = 0;
  for (let i = from; i < to; i++) sum += (W[i]! - back[i]!) ** 2;
  return sum;
};

/** What ggml's quantize_row_q8_0 and q4_0 make of 32 weights, dequantised. */
function reference(W: Float32Array, type: 'Q8_0' | 'Q4_0'): number[] {
  const largest = W.reduce((most, w) => (Math.abs(w) > Math.abs(most) ? w : most), 0);
  const d = Math.fround(type === 'Q8_0' ? Math.abs(largest) / 127 : largest / -8);
  const scale = nearestHalf(d);
  return [...W].map((w) => {
    if (d === 0) return 0;
    if (type === 'Q8_0') return scale * Math.sign(w) * Math.floor(Math.abs(w) / d + 0.5);
    return scale * (Math.min(15, Math.trunc(w / d + 8.5)) - 8);
  });
}

test.each(['Q8_0', 'Q4_0'] as const)('%s is nowhere worse than ggml', (type) => {
  fc.assert(
    fc.property(fc.array(fc.float({ noNaN: true, min: -4, max: 4 }), { minLength: 32, maxLength: 32 }), (values) => {
      const W = Float32Array.from(values);
      const [own, theirs] = [errorOf(W, there(W, type)), errorOf(W, reference(W, type))];
      expect(own).toBeLessThanOrEqual(theirs * (1 + 1e-9) + 1e-15);
    }),
    { numRuns: runs(500) },
  );
});

describe('relative squared errors', () => {
  // What ggml's own quantisers leave of normal weights (scripts/golden/gguf_quantise.py).
  const LIMITS: Readonly<Record<WrittenType, number>> = {
    F32: 0,
    F16: 4.4e-8,
    BF16: 2.9e-6,
    Q8_0: 2.95e-5,
    Q4_0: 0.0074,
    Q6_K: 3.16e-4,
    Q4_K: 0.00511,
    Q3_K: 0.0229,
    Q2_K: 0.0876,
  };
  test.each(WRITTEN_TYPES)('of %s are those of ggml or smaller', (type) => {
    const W = draw(1, 0, 32768);
    expect(errorOf(W, there(W, type)) / errorOf(W, new Float32Array(W.length))).toBeLessThanOrEqual(LIMITS[type]);
  });
});

test.each(WRITTEN_TYPES)('zeros in %s are zeros where the type says so; zero blocks always are', (type) => {
  const W = draw(2, 0.6);
  W.fill(0, 0, 512);
  const back = there(W, type);
  expect(back.subarray(0, 512).every((value) => value === 0)).toBe(true);
  const lost = W.reduce((n, w, i) => n + (w === 0 && back[i] !== 0 ? 1 : 0), 0);
  if (keepsZeros(type)) expect(lost).toBe(0);
  else expect(lost).toBeGreaterThan(0);
});

test.each(WRITTEN_TYPES)('%s refuses NaN, infinities and what it cannot reach', async (type) => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, ...(type === 'F32' || type === 'BF16' ? [] : [3e38])]) {
    const W = draw(3);
    W[700] = value;
    expect(await codeOf((async () => quantise('w', W, type))())).toBe('E_NUMERIC_WEIGHT');
  }
});

test('extreme blocks stay finite', () => {
  const kinds: readonly (readonly [string, (i: number) => number])[] = [
    ['one weight', (i) => (i === 77 ? -3 : 0)],
    ['equal weights', () => 0.7],
    ['tiny', (i) => (i % 2 ? 1e-8 : -1e-9)],
    ['large', (i) => (i % 3 ? 60000 : -1)],
    ['subnormal scales', (i) => ((i % 5) - 2) * 1e-6],
  ];
  for (const type of WRITTEN_TYPES) {
    for (const [kind, at] of kinds) {
      const W = Float32Array.from({ length: 256 }, (_, i) => at(i));
      const back = there(W, type);
      expect(back.every(Number.isFinite), `${type}, ${kind}`).toBe(true);
      expect(errorOf(W, back), `${type}, ${kind}`).toBeLessThanOrEqual(errorOf(W, new Float32Array(256)) * (1 + 1e-9));
    }
  }
});

describe('a file', () => {
  let dir: string | undefined;
  afterAll(async () => {
    if (dir) await rm(dir, { recursive: true, force: true });
  });

  test('has the pairs and tensors that were written', async () => {
    dir = await mkdtemp(join(tmpdir(), 'layerwise-gguf-'));
    const path = join(dir, 'a.gguf');
    const pairs: (readonly [string, GgufValue])[] = [
      ['a', { kind: 'u32', value: 4_000_000_000 }],
      ['b', { kind: 'f32', value: 0.1 }],
      ['c', { kind: 'bool', value: true }],
      ['d', { kind: 'text', value: 'Ġé🙂' }],
      ['e', { kind: 'texts', value: ['', 'x', '日本'] }],
      ['f', { kind: 'i32s', value: [-1, 2] }],
      ['g', { kind: 'f32s', value: [0.5, -1e6] }],
    ];
    const W = draw(5, 0, 3 * 256);
    const tensor = (name: string, type: WrittenType, shape: readonly number[]) => ({
      name,
      type,
      shape,
      async *read() {
        const bytes = quantise(
          name,
          W.subarray(
            0,
            shape.reduce((a, b) => a * b, 1),
          ),
          type,
        );
        yield bytes.subarray(0, 7);
        yield bytes.subarray(7);
      },
    });
    const size = await writeGguf(path, pairs, [
      tensor('odd', 'F32', [3]),
      tensor('q', 'Q4_K', [3, 256]),
      tensor('h', 'F16', [2, 32]),
    ]);
    const bytes = await readFile(path);
    expect(bytes.length).toBe(size);
    const { values, tensors } = await readGguf(path);
    expect([...values]).toEqual([
      ['a', 4_000_000_000],
      ['b', Math.fround(0.1)],
      ['c', true],
      ['d', 'Ġé🙂'],
      ['e', ['', 'x', '日本']],
      ['f', Int32Array.of(-1, 2)],
      ['g', Float32Array.of(0.5, -1e6)],
    ]);
    expect([...tensors.values()].map(({ name, shape, type }) => [name, shape, type.name])).toEqual([
      ['odd', [3], 'F32'],
      ['q', [3, 256], 'Q4_K'],
      ['h', [2, 32], 'F16'],
    ]);
    const { offset, length } = tensors.get('q')!;
    expect(new Uint8Array(bytes.subarray(offset, offset + length))).toEqual(quantise('q', W, 'Q4_K'));
  });

  test('with too few blocks does not appear', async () => {
    dir ??= await mkdtemp(join(tmpdir(), 'layerwise-gguf-'));
    const path = join(dir, 'b.gguf');
    const short = {
      name: 'w',
      type: 'F32' as const,
      shape: [4],
      async *read() {
        yield new Uint8Array(8);
      },
    };
    expect(await codeOf(writeGguf(path, [], [short]))).toBe('E_INTERNAL_TENSOR');
    await expect(readFile(path)).rejects.toThrow();
  });
});
