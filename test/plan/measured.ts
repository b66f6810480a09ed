// Measures that no model gave, for what every policy must keep whatever was measured.

import { createRng, type Rng } from '../../src/base/index.js';
import type { ModelFacts } from '../../src/plan/index.js';
import type { Histogram, Measured } from '../../src/records/index.js';
import { unit } from './units.js';

const KINDS = ['q', 'k', 'v', 'o', 'gate', 'up', 'down'] as const;

/** Blocks of seven linears with grouped-query attention; each block has an MLP of its own width. */
export function groupedFacts(hidden: number, keyValue: number, widths: readonly number[]): ModelFacts {
  return {
    blocks: widths.length,
    linears: widths.flatMap((width, block) => {
      const shapes = [
        [hidden, hidden],
        [keyValue, hidden],
        [keyValue, hidden],
        [hidden, hidden],
        [width, hidden],
        [width, hidden],
        [hidden, width],
      ];
      return shapes.map(([rows, columns], i) => unit(`${block}.${KINDS[i]}`, block, KINDS[i]!, rows!, columns!));
    }),
  };
}

const BINS = 40;

function histogram(rng: Rng, total: number): Histogram {
  const counts = new Uint32Array(BINS);
  let left = total;
  for (let bin = 0; bin < BINS - 1; bin++) {
    counts[bin] = Math.floor(left * rng.uniform() * 0.2);
    left -= counts[bin]!;
  }
  counts[BINS - 1] = left;
  return { counts, total };
}

function cosines(rng: Rng, n: number): number[][] {
  const psi = Array.from({ length: n }, () => new Array<number>(n).fill(1));
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) psi[i]![j] = psi[j]![i] = rng.uniform();
  return psi;
}

export function randomMeasured(facts: ModelFacts, seed: number): Measured {
  const rng = createRng(seed);
  const perBlock = <T>(make: () => T): T[] => Array.from({ length: facts.blocks }, make);
  const sizes = facts.linears.map(({ rows, columns }) => rows * columns);
  const perLinear = (): number[] => sizes.map(() => rng.uniform());
  return {
    outliers: Object.fromEntries([3, 5, 7, 10].map((M) => [M, perBlock(() => rng.uniform())])),
    scoreMoments: perBlock(() => ({ mean: rng.uniform(), median: rng.uniform(), logVariance: 3 * rng.uniform() })),
    scores: sizes.map((total) => histogram(rng, total)),
    lamp: sizes.map((total) => histogram(rng, total)),
    alpha: perLinear().map((x) => 1 + 5 * x),
    sensitivity: perLinear(),
    halfError: perLinear(),
    gradient: perLinear(),
    redundancy: {
      blocks: cosines(rng, facts.blocks),
      linears: perBlock(() => 0).map((_, block) => cosines(rng, facts.linears.filter((l) => l.block === block).length)),
    },
  };
}

/** The measures of a model whose block b is block order[b] of the one measured; all blocks have as many linears. */
export function permuteMeasured(measured: Measured, facts: ModelFacts, order: readonly number[]): Partial<Measured> {
  const each = facts.linears.length / facts.blocks;
  const blocks = <T>(values: readonly T[]): T[] => order.map((block) => values[block]!);
  const linears = <T>(values: readonly T[]): T[] =>
    order.flatMap((block) => values.slice(block * each, (block + 1) * each));
  return {
    outliers: Object.fromEntries(Object.entries(measured.outliers).map(([M, shares]) => [M, blocks(shares)])),
    scoreMoments: blocks(measured.scoreMoments),
    scores: linears(measured.scores),
    lamp: linears(measured.lamp),
    alpha: linears(measured.alpha),
    halfError: linears(measured.halfError),
    gradient: linears(measured.gradient),
  };
}
