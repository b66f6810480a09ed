// The compiled kernels against their scalar twins, over every size, and the build that makes them.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { compileRuntime, createRuntimeKernels, createRuntimeMemory } from '../../src/kernels/index.js';
import {
  LARGEST_BLOCK,
  loadKernels,
  plainKernels,
  type SweepPanel,
  WIDEST_PANEL,
} from '../../src/solver-kernels/index.js';
import { limit, runs } from '../scale.js';
import { KERNEL } from '../tolerances.js';

const wasm = loadKernels();
const seed = fc.nat({ max: 2 ** 31 });

/** Values uniform in [−scale, scale). */
function uniform(count: number, seed: number, scale = 1): Float32Array {
  const rng = createRng(seed);
  return Float32Array.from({ length: count }, () => (2 * rng.uniform() - 1) * scale);
}

/** Symmetric, positive definite, condition at most a few hundred. */
function definite(n: number, seed: number, scale = 1): Float32Array {
  const B = uniform(n * n, seed);
  const A = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = i === j ? 0.1 * n : 0;
      for (let k = 0; k < n; k++) sum += B[i * n + k]! * B[j * n + k]!;
      A[i * n + j] = sum * scale;
    }
  }
  return A;
}

/** The largest difference, as a share of the largest value expected. */
function distance(got: Float32Array, expected: Float32Array): number {
  let [largest, worst] = [0, 0];
  for (const [i, want] of expected.entries()) {
    largest = Math.max(largest, Math.abs(want));
    worst = Math.max(worst, Math.abs(got[i]! - want));
  }
  return worst === 0 ? 0 : worst / largest;
}

describe('factorUpper and invertUpper', () => {
  const size = fc.integer({ min: 0, max: 70 });

  function check(n: number, A: Float32Array): void {
    const [got, expected] = [A.slice(), A.slice()];
    expect(wasm.factorUpper(got, n)).toBe(-1);
    expect(plainKernels.factorUpper(expected, n)).toBe(-1);
    expect(distance(got, expected)).toBeLessThanOrEqual(KERNEL);
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) expect(got[i * n + j]).toBe(A[i * n + j]);
    const inverse = expected.slice();
    wasm.invertUpper(inverse, n);
    plainKernels.invertUpper(expected, n);
    expect(distance(inverse, expected)).toBeLessThanOrEqual(KERNEL);
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) expect(Object.is(inverse[i * n + j], 0)).toBe(true);
  }

  test('agree with their twins at any size', () => {
    fc.assert(
      fc.property(size, seed, (n, s) => check(n, definite(n, s))),
      { numRuns: runs(100) },
    );
  });

  test.each([LARGEST_BLOCK, LARGEST_BLOCK - 1])('agree at the largest sizes: %d', (n) => check(n, definite(n, n)));

  test('agree where values are very large or very small', () => {
    fc.assert(
      fc.property(size, seed, fc.constantFrom(1e-30, 1e30), (n, s, scale) => check(n, definite(n, s, scale))),
      { numRuns: runs(30) },
    );
  });

  test('R·Rᵀ is A, by hand', () => {
    const A = Float32Array.of(5, 2, 2, 4); // R = [[2, 1], [0, 2]]
    expect(wasm.factorUpper(A, 2)).toBe(-1);
    expect([...A]).toEqual([2, 1, 2, 2]);
    wasm.invertUpper(A, 2);
    expect([...A]).toEqual([0.5, -0.25, 0, 0.5]);
  });

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])(
    'a pivot of %d is named by its column, A is left',
    (pivot) => {
      const A = definite(9, 4);
      A[5 * 9 + 5] = pivot;
      for (const kernels of [wasm, plainKernels]) {
        const copy = A.slice();
        expect(kernels.factorUpper(copy, 9)).toBe(5);
        expect(copy).toEqual(A);
      }
    },
  );

  test('a block that is too large is refused', () => {
    const n = LARGEST_BLOCK + 1;
    expect(() => wasm.factorUpper(new Float32Array(n * n), n)).toThrow(/too large/);
  });
});

describe('sweepPanel', () => {
  const shape = fc.record({
    rows: fc.integer({ min: 0, max: 130 }),
    width: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.constantFrom(127, WIDEST_PANEL)),
    from: fc.integer({ min: 0, max: 9 }),
    beyond: fc.integer({ min: 0, max: 5 }),
    seed,
    scale: fc.constantFrom(1, 1e-38, 1e-44, 1e20), // denormal weights too
    density: fc.constantFrom(0, 0.5, 1),
  });
  type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never;
  const groups = fc.integer({ min: 1, max: 20 }).chain((m) => fc.tuple(fc.nat({ max: m }), fc.constant(m)));

  const limits = fc.constantFrom([-2, 1], [-4, 3], [-8, 7], [-127, 127], [-32768, 32767]);
  /** Scales of both signs, some of them 0, so that some weights are clipped and most are not. */
  function roundingOf({ rows, seed: s, scale }: Shape, [low, high]: readonly number[]): SweepPanel['round'] {
    const scales = uniform(rows, s + 4, (2 * scale) / high!).map((value, i) => (i % 7 === 6 ? 0 : value));
    return { scales, low: low!, high: high! };
  }

  function panelOf(
    { rows, width, from, beyond, seed: s, scale, density }: Shape,
    choose?: SweepPanel['choose'],
    round?: SweepPanel['round'],
  ) {
    const columns = from + width + beyond;
    const U = uniform(columns * columns, s, 0.3);
    for (let j = 0; j < columns; j++) U[j * columns + j] = 1 + Math.abs(U[j * columns + j]!);
    const rng = createRng(s + 1);
    const mask = Uint8Array.from({ length: rows * width }, () => (rng.uniform() < density ? 1 : 0));
    const [W, E] = [uniform(rows * columns, s + 2, scale), uniform(rows * columns, s + 3)];
    return { rows, columns, from, width, W, E, U, mask, ...(choose ? { choose } : {}), ...(round ? { round } : {}) };
  }

  /** Whether a weight is scale·q, q whole within the limits; −0 is not. */
  function isOnGrid(weight: number, { scales, low, high }: NonNullable<SweepPanel['round']>, row: number): boolean {
    const scale = scales[row]!;
    if (weight === 0) return Object.is(weight, 0);
    const q = Math.round(weight / scale);
    return q >= low && q <= high && Math.fround(q * scale) === weight;
  }

  function agree(panel: SweepPanel): void {
    const [got, expected] = [structuredClone(panel), structuredClone(panel)];
    wasm.sweepPanel(got);
    plainKernels.sweepPanel(expected);
    expect(got).toEqual(expected); // to the last bit, signs of zero included
    for (const [i, gone] of got.mask.entries()) {
      const at = Math.floor(i / panel.width) * panel.columns + panel.from + (i % panel.width);
      if (gone) expect(Object.is(got.W[at], 0)).toBe(true);
      else if (!panel.round) expect(got.E[at]).toBe(0);
      else expect(isOnGrid(got.W[at]!, panel.round, Math.floor(i / panel.width))).toBe(true);
    }
  }

  test('agrees with its twin to the last bit, whatever the shape', () => {
    fc.assert(
      fc.property(shape, (s) => agree(panelOf(s))),
      { numRuns: runs(100) },
    );
  });

  test('agrees with its twin where it rounds what stays', () => {
    fc.assert(
      fc.property(shape, limits, (s, of) => agree(panelOf(s, undefined, roundingOf(s, of)))),
      { numRuns: runs(40) },
    );
  });

  test('agrees with its twin where it chooses and rounds', () => {
    fc.assert(
      fc.property(shape, groups, limits, (s, [n, m], of) => {
        const width = s.width - (s.width % m);
        agree(panelOf({ ...s, width }, { n, m }, roundingOf(s, of)));
      }),
      { numRuns: runs(40) },
    );
  });

  test('agrees with its twin where it chooses n of every m itself', () => {
    fc.assert(
      fc.property(shape, groups, (s, [n, m]) => {
        const width = s.width - (s.width % m);
        const panel = panelOf({ ...s, width }, { n, m });
        agree(panel);
        wasm.sweepPanel(panel);
        for (let at = 0; at < panel.mask.length; at += m) {
          expect(panel.mask.subarray(at, at + m).reduce((a, b) => a + b, 0)).toBe(n);
        }
      }),
      { numRuns: runs(100) },
    );
  });

  test('of equal scores the lower column goes', () => {
    const U = Float32Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
    const W = Float32Array.of(3, -3, 3, 3);
    const mask = new Uint8Array(4);
    wasm.sweepPanel({ rows: 1, columns: 4, from: 0, width: 4, W, E: W.slice(), U, mask, choose: { n: 2, m: 4 } });
    expect([...mask]).toEqual([1, 1, 0, 0]);
  });

  test('by hand: an error moves the columns after it', () => {
    const U = Float32Array.of(2, 1, 0, 4);
    const [W, E] = [Float32Array.of(6, 10), new Float32Array(2)];
    wasm.sweepPanel({ rows: 1, columns: 2, from: 0, width: 2, W, E, U, mask: Uint8Array.of(1, 0) });
    expect([[...W], [...E]]).toEqual([
      [0, 7],
      [3, 0],
    ]);
  });

  test('by hand: rounding leaves an error too, half goes to even, and no weight leaves the grid', () => {
    const U = Float32Array.of(2, 1, 0, 0, 4, 0, 0, 0, 1);
    const [W, E] = [Float32Array.of(5, 10, -9), new Float32Array(3)];
    const round = { scales: Float32Array.of(-2), low: -2, high: 1 };
    wasm.sweepPanel({ rows: 1, columns: 3, from: 0, width: 3, W, E, U, mask: new Uint8Array(3), round });
    // 5/−2 = −2.5 → −2: 4, error ½, so 10 becomes 9.5: clipped to −2: 4, error 5.5/4. −9/−2 is clipped to 1.
    expect([...W]).toEqual([4, 4, -2]);
    expect([...E]).toEqual([0.5, 1.375, -7]);
  });

  test('a panel that is too wide is refused', () => {
    const panel = panelOf({ rows: 1, width: WIDEST_PANEL + 1, from: 0, beyond: 0, seed: 1, scale: 1, density: 0 });
    expect(() => wasm.sweepPanel(panel)).toThrow(/too wide/);
  });
});

const root = fileURLToPath(new URL('../../', import.meta.url));
const built = join(root, 'dist/kernels');

test('another build gives the bytes that are loaded', { timeout: limit(180_000) }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'layerwise-kernels-'));
  try {
    execFileSync(process.execPath, [join(root, 'scripts/build-kernels.mjs'), dir]);
    const names = readdirSync(dir).sort();
    expect(names).toEqual([
      'cholesky.wasm',
      'runtime-relaxed.wasm',
      'runtime-single-relaxed.wasm',
      'runtime-single.wasm',
      'runtime.wasm',
      'sweep.wasm',
    ]);
    for (const name of names) {
      expect(readFileSync(join(built, name)).equals(readFileSync(join(dir, name))), name).toBe(true);
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test.each(['runtime', 'runtime-relaxed', 'runtime-single', 'runtime-single-relaxed'])(
  '%s brings no data, which threads would write over each other',
  (name) => {
    const bytes = readFileSync(join(built, `${name}.wasm`));
    const sections = new Set<number>();
    for (let at = 8; at < bytes.length; ) {
      sections.add(bytes[at++]!);
      let [size, shift] = [0, 0];
      for (let more = true; more; shift += 7) {
        size += (bytes[at]! & 127) * 2 ** shift;
        more = bytes[at++]! > 127;
      }
      at += size;
    }
    expect(sections.has(10)).toBe(true); // code
    expect(sections.has(8)).toBe(false); // start
    expect(sections.has(11)).toBe(false); // data
  },
);

test('kernels whose products of bytes are limited are refused', () => {
  // What the builds for relaxed SIMD do on x86 without AVX-VNNI: f(a, b) = a < 0 ? -508 : 65534.
  const limited = [
    ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0],
    ...[7, 16, 1, 12, ...Buffer.from('fourProducts'), 0, 0],
    ...[10, 17, 1, 15, 0, 65, 132, 124, 65, 254, 255, 3, 32, 0, 65, 0, 72, 27, 11],
  ];
  const module = compileRuntime(Uint8Array.from(limited));
  const memory = createRuntimeMemory(1, false);
  expect(() => createRuntimeKernels(module, memory)).toThrow(
    expect.objectContaining({ code: 'E_RESOURCE_KERNELS', facts: { product: 65534 } }),
  );
});
