// Each measure against numpy (scripts/golden/policies.py) and against slow plain computations on small matrices.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Linear } from '../../src/model/index.js';
import { hillAlpha, smallerGram } from '../../src/profile/alpha.js';
import { symmetricEigenvalues } from '../../src/profile/eigenvalues.js';
import { errorOfHalf } from '../../src/profile/half-error.js';
import { bitsOf, countBins, valueAtRank } from '../../src/profile/histogram.js';
import { type BlockReader, collectable, requireCalibration, startCollection } from '../../src/profile/index.js';
import { lampScores } from '../../src/profile/lamp.js';
import { HISTOGRAM_SHIFT, type Histogram, type Measured, type MeasureName } from '../../src/records/index.js';
import { runs } from '../scale.js';
import { EIGENVALUES, MEASURES } from '../tolerances.js';
import {
  createNumbers,
  golden,
  goldenFacts,
  goldenInputs,
  goldenLinears,
  goldenScores,
  goldenWeights,
} from './golden.js';

const expectAll = (got: ArrayLike<number>, expected: ArrayLike<number>, relative = MEASURES): void => {
  expect(got.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    expect(Math.abs(got[i]! - expected[i]!), `[${i}]`).toBeLessThanOrEqual(relative * Math.abs(expected[i]!));
  }
};

/** The bins of a histogram that are not empty. */
const filled = ({ counts, total }: Histogram): unknown => [total, ...[...counts.entries()].filter(([, n]) => n > 0)];
/** A measure with its histograms shortened: comparing 32,768 bins element by element takes long. */
const plain = (measure: unknown): unknown =>
  Array.isArray(measure) ? measure.map((one) => (one?.counts ? filled(one) : one)) : measure;

/** A positive definite H. */
function makeGram(seed: number, columns: number): Float32Array {
  const numbers = createNumbers(seed);
  const X = Float64Array.from(numbers(2 * columns * columns));
  return Float32Array.from({ length: columns * columns }, (_, at) => {
    const [i, j] = [Math.floor(at / columns), at % columns];
    let sum = 0;
    for (let t = 0; t < 2 * columns; t++) sum += X[t * columns + i]! * X[t * columns + j]!;
    return sum;
  });
}

/** The H of a golden linear’s input: linears of one site read the same. */
const gramOf = ({ block, site, columns }: Linear): Float32Array =>
  makeGram(10 * block + ['attention_in', 'attention_out', 'mlp_in', 'mlp_out'].indexOf(site), columns);

/** LSA’s error, with all of w_P·H_PP·w_Pᵀ computed again for every column that might go next. */
function plainHalfError(W: Float32Array, rows: number, columns: number, H: Float32Array, group: number): number {
  let total = 0;
  for (let r = 0; r < rows; r++) {
    const error = (gone: readonly number[]): number => {
      let sum = 0;
      for (const i of gone)
        for (const j of gone) sum += W[r * columns + i]! * H[i * columns + j]! * W[r * columns + j]!;
      return sum;
    };
    const gone: number[] = [];
    for (let first = 0; first < columns; first += group) {
      const own = Array.from({ length: Math.min(group, columns - first) }, (_, i) => first + i);
      for (let n = 0; n < Math.floor(own.length / 2); n++) {
        const open = own.filter((j) => !gone.includes(j));
        gone.push(open.reduce((best, j) => (error([...gone, j]) < error([...gone, best]) ? j : best)));
      }
    }
    total += error(gone);
  }
  return total;
}

/** The golden model, counting how often each weight is read. */
function goldenReader(block: number, reads: string[]): BlockReader {
  const own = goldenLinears.filter((linear) => linear.block === block);
  const indexOf = (name: string): number => goldenLinears.findIndex((linear) => linear.name === name);
  return {
    linears: own,
    weights: async ({ name }) => {
      reads.push(name);
      return goldenWeights[indexOf(name)]!;
    },
    scores: ({ name }) => goldenScores[indexOf(name)]!,
    inputs: async () => {
      const sites = ['attention_in', 'attention_out', 'mlp_in', 'mlp_out'].map(
        (site, i) => [site, goldenInputs[i % 2]!] as const,
      );
      return { block: goldenInputs[block]!, sites: Object.fromEntries(sites) };
    },
    grams: async () => Object.fromEntries(own.map((linear) => [linear.site, gramOf(linear)])),
  };
}

async function collect(names: readonly MeasureName[]): Promise<{ measured: Partial<Measured>; reads: string[] }> {
  const collection = startCollection(names);
  const reads: string[] = [];
  for (let block = 0; block < goldenFacts.blocks; block++) await collection.block(goldenReader(block, reads));
  return { measured: collection.result(), reads };
}

const ALL: readonly MeasureName[] = ['outliers', 'scoreMoments', 'scores', 'lamp', 'alpha', 'redundancy', 'halfError'];

describe('all measures together', async () => {
  const { measured, reads } = await collect(ALL);

  test('each weight is read once', () => {
    expect(reads).toEqual(goldenLinears.map(({ name }) => name));
  });

  test('each is what it is alone', async () => {
    for (const name of ALL) {
      const alone = await collect([name]);
      expect(Object.keys(alone.measured)).toEqual([name]);
      expect(plain(alone.measured[name])).toEqual(plain(measured[name]));
    }
  });

  test('measures with procedures of their own are left to others', async () => {
    expect(collectable(['sensitivity', 'lamp', 'gradient'])).toEqual(['lamp']);
    expect((await collect(['sensitivity'])).reads).toEqual([]);
  });

  test('inputs alone need no weights', async () => {
    expect((await collect(['redundancy'])).reads).toEqual([]);
  });

  test('outliers: numpy’s', () => {
    expect(measured.outliers).toEqual(golden.measured.outliers);
  });

  test('moments: numpy’s, the median exactly', () => {
    for (const [block, expected] of golden.measured.scoreMoments.entries()) {
      const got = measured.scoreMoments![block]!;
      expectAll([got.mean, got.logVariance], [expected.mean, expected.logVariance]);
      expect(got.median).toBe(Math.fround(expected.median));
    }
  });

  test('LAMP scores: numpy’s', () => {
    for (const [l, W] of goldenWeights.entries()) {
      const scores = lampScores(W);
      const step = Math.max(1, Math.floor(scores.length / 6));
      expectAll(
        scores.filter((_, i) => i % step === 0),
        golden.measured.lamp[l]!,
        2 ** -23,
      );
      expect(filled(measured.lamp![l]!)).toEqual(filled(countBins(scores)));
    }
  });

  test('α: numpy’s', () => {
    expectAll(measured.alpha!, golden.measured.alpha);
  });

  test('half errors: the plain sum over all pairs of weights that went', () => {
    for (const [l, linear] of goldenLinears.entries()) {
      const expected = plainHalfError(goldenWeights[l]!, linear.rows, linear.columns, gramOf(linear), 128);
      expectAll([measured.halfError![l]!], [expected], 1e-9);
    }
  });

  test('half errors in several groups, the last of them narrow: each is halved, knowing what went before', () => {
    const [rows, columns] = [2, 128 + 21];
    const W = Float32Array.from(createNumbers(5)(rows * columns));
    const H = makeGram(9, columns);
    expectAll([errorOfHalf(W, rows, columns, H)], [plainHalfError(W, rows, columns, H, 128)], 1e-9);
  });

  test('half errors of ties and dead columns: half of the weights go, and the dead ones cost nothing', () => {
    const H = Float32Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? 1 : 0));
    expect(errorOfHalf(Float32Array.of(2, 2, 2, 2), 1, 4, H)).toBe(8);
    H[15] = 0;
    expect(errorOfHalf(Float32Array.of(1, 2, 2, 9), 1, 4, H)).toBe(1);
    expect(errorOfHalf(Float32Array.of(3), 1, 1, H)).toBe(0);
  });

  test('redundancy: numpy’s between blocks; within a block, one for linears that read the same', () => {
    const { blocks, linears } = measured.redundancy!;
    for (const [i, row] of golden.measured.redundancy.blocks.entries()) expectAll(blocks[i]!, row, 1e-5);
    const between = golden.measured.redundancy.blocks[0]![1]!;
    // q, k, v | o | gate, up | down read the sites 0, 1, 2, 3, which hold inputs 0, 1, 0, 1.
    const expected = [1, 1, 1, between, 1, 1, between];
    expectAll(linears[0]![0]!, expected, 1e-5);
    expectAll(linears[2]![4]!, expected, 1e-5);
  });
});

describe('requireCalibration', () => {
  test('names the policy, the measure and the next step', () => {
    const owl = { name: 'owl', needs: ['outliers'] } as const;
    expect(() => requireCalibration(owl, false)).toThrowError(
      expect.objectContaining({
        code: 'E_OPTION_CALIBRATION',
        message: expect.stringMatching(/owl.*outliers.*Pass one/),
      }),
    );
    expect(() => requireCalibration(owl, true)).not.toThrow();
    expect(() => requireCalibration({ name: 'lamp', needs: ['lamp'] }, false)).not.toThrow();
  });
});

describe('histograms', () => {
  test('edges: 0, the smallest and the largest floats, and a power of two begins a bin', () => {
    const values = Float32Array.from([0, 2 ** -149, 1, 1 - 2 ** -24, 1.0078, 3.4028234663852886e38]);
    const { counts, total } = countBins(values);
    expect(total).toBe(6);
    expect(counts[0]).toBe(2);
    const one = bitsOf(Float32Array.of(1))[0]! >>> HISTOGRAM_SHIFT;
    expect([counts[one - 1], counts[one]]).toEqual([1, 2]);
    expect(counts.reduce((a, b) => a + b, 0)).toBe(6);
  });

  test('valueAtRank is what sorting gives', () => {
    const parts = fc.array(fc.array(fc.float({ min: 0, noNaN: true, noDefaultInfinity: true }), { maxLength: 40 }), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(parts, fc.nat(), (arrays, draw) => {
        const sorted = Float32Array.from(arrays.flat()).sort();
        fc.pre(sorted.length > 0);
        const rank = draw % sorted.length;
        // −0 sorts before 0; scores are absolute values.
        const got = valueAtRank(
          arrays.map((values) => Float32Array.from(values, Math.abs)),
          rank,
        );
        expect(got).toBe(Math.abs(sorted[rank]!));
      }),
      { numRuns: runs(50) },
    );
  });

  test('LAMP: the largest weight scores 1, ties and zeros included', () => {
    expect([...lampScores(Float32Array.of(-2, 0, 1, 1))]).toEqual([0, 1 / 6, 1 / 5, 1].map(Math.fround));
    expect([...lampScores(new Float32Array(3))]).toEqual([0, 0, 0]);
  });
});

describe('eigenvalues', () => {
  /** Q·diag(values)·Qᵀ, Q a product of reflections. */
  const withSpectrum = (values: readonly number[]): Float64Array => {
    const n = values.length;
    const numbers = createNumbers(3);
    let A = Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? values[i / (n + 1)]! : 0));
    for (let turn = 0; turn < 3; turn++) {
      const v = Float64Array.from(numbers(n), (x) => x + 0.1);
      const norm = v.reduce((a, b) => a + b * b, 0);
      const H = Float64Array.from({ length: n * n }, (_, i) => {
        const [row, column] = [Math.floor(i / n), i % n];
        return (row === column ? 1 : 0) - (2 * v[row]! * v[column]!) / norm;
      });
      A = multiply(H, multiply(A, H, n), n);
    }
    return A;
  };
  const multiply = (A: Float64Array, B: Float64Array, n: number): Float64Array<ArrayBuffer> =>
    Float64Array.from({ length: n * n }, (_, i) => {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += A[Math.floor(i / n) * n + k]! * B[k * n + (i % n)]!;
      return sum;
    });

  test.each([
    ['one', [4]],
    ['two', [-1, 3]],
    ['distinct', [1, 2, 3, 5, 8, 13, 21]],
    ['repeated', [2, 2, 2, 2, 7, 7]],
    ['of twelve decades', [1e-12, 1e-8, 1e-4, 1, 1, 3]],
    ['all zero', [0, 0, 0]],
    ['negative ones', [-5, -1, 0, 0, 2, 9]],
  ])('known spectra: %s', (_, values) => {
    const largest = Math.max(...values.map(Math.abs));
    for (const [i, got] of symmetricEigenvalues(withSpectrum(values), values.length).entries()) {
      expect(Math.abs(got - values[i]!)).toBeLessThanOrEqual(EIGENVALUES * largest);
    }
  });

  test('the second difference: 2 − 2·cos(kπ/(n + 1))', () => {
    const n = 60;
    const A = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      A[i * n + i] = 2;
      if (i > 0) A[i * n + i - 1] = -1;
    }
    for (const [i, got] of symmetricEigenvalues(A, n).entries()) {
      expect(Math.abs(got - (2 - 2 * Math.cos(((i + 1) * Math.PI) / (n + 1))))).toBeLessThanOrEqual(4 * EIGENVALUES);
    }
  });

  test('of W·Wᵀ, and of the transposed matrix: numpy’s; and their Hill estimate', () => {
    const [rows, columns] = [48, 200];
    const W = createNumbers(11)(rows, columns);
    const turned = W.map((_, i) => W[(i % rows) * columns + Math.floor(i / rows)]!);
    const { eigenvalues, alpha } = golden.spectrum;
    for (const gram of [smallerGram(W, rows, columns), smallerGram(turned, columns, rows)]) {
      const got = symmetricEigenvalues(gram, rows);
      const largest = eigenvalues.at(-1)!;
      for (const [i, value] of got.entries()) {
        expect(Math.abs(value - eigenvalues[i]!)).toBeLessThanOrEqual(EIGENVALUES * largest);
      }
      expectAll([hillAlpha(got)], [alpha]);
    }
  });

  test('odd sizes and single rows', () => {
    expect([...smallerGram(Float32Array.of(1, 2, 3), 1, 3)]).toEqual([14]);
    const gram = smallerGram(Float32Array.of(1, 0, 0, 2, 0, 0, 0, 0, 3), 3, 3);
    expect([...symmetricEigenvalues(gram, 3)]).toEqual([0, 5, 9]);
  });

  test('broken weights are an error, not an endless loop', () => {
    expect(() => symmetricEigenvalues(new Float64Array(9).fill(Number.NaN), 3)).toThrowError(
      expect.objectContaining({ code: 'E_NUMERIC_EIGENVALUES' }),
    );
  });

  test('spectra without a tail', () => {
    expect(hillAlpha(new Float64Array(5))).toBe(100);
    expect(hillAlpha(Float64Array.of(2, 2, 2))).toBe(100);
    expect(hillAlpha(Float64Array.of(3))).toBe(100);
  });
});
