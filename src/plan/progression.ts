// ATP's arithmetic progression over bits (after arXiv 2502.14770, which names mixed precision but not how a line enters it). Bits
// fall with depth as sparsity rises:
//   want_i = B + β·((L − 1)/2 − i),  i = 0 … L − 1,  |β| ≤ 2·min(B − b_min, b_max − B)/(L − 1)
// Whole bits: each block takes the choice below; then, in the order of the largest share of the way to the next choice (ties: the
// earlier block), blocks are raised by one choice while half of the step fits the budget. So the weighted mean is within half a
// step of one block of B. plan/bits.ts has a rule of the same line whose whole bits never exceed B; this one rounds to nearest.

import { OptionError } from '../base/index.js';
import type { Plan } from '../records/index.js';
import { atpBits } from './bits.js';
import { blockWeights, type ModelFacts } from './policy.js';

/** The largest |β| with which every block wants bits between the least and the most. */
export const maxBitsBeta = (mean: number, blocks: number, choices: readonly number[]): number =>
  blocks < 2 ? 0 : (2 * Math.min(mean - Math.min(...choices), Math.max(...choices) - mean)) / (blocks - 1);

/** Whole bits of each block; `weights` are the blocks' sizes. `choices` ascend. */
export function progressionBits(
  weights: readonly number[],
  mean: number,
  beta: number,
  choices: readonly number[],
): number[] {
  const wants = atpBits(mean, weights.length, beta).map((want) =>
    Math.min(Math.max(want, choices[0]!), choices.at(-1)!),
  );
  // A line that meets a choice may miss it by rounding.
  const places = wants.map((want) => choices.findLastIndex((choice) => choice <= want + 1e-9));
  const shareOf = (i: number): number => {
    const [at, next] = [choices[places[i]!]!, choices[places[i]! + 1]];
    return next === undefined ? -1 : Math.max(0, (wants[i]! - at) / (next - at));
  };
  const shares = wants.map((_, i) => Number(shareOf(i).toFixed(9)));
  const budget = mean * weights.reduce((a, b) => a + b, 0);
  let have = weights.reduce((sum, n, i) => sum + n * choices[places[i]!]!, 0);
  for (const i of [...wants.keys()].sort((a, b) => shares[b]! - shares[a]! || a - b)) {
    const next = choices[places[i]! + 1];
    if (next === undefined) continue;
    const step = weights[i]! * (next - choices[places[i]!]!);
    if (have + step / 2 > budget * (1 + 1e-12)) break;
    places[i]!++;
    have += step;
  }
  return places.map((place) => choices[place]!);
}

/** Steps in which the range of β is looked through, and the most values that are kept on a side of 0. */
const [LOOKS, MOST] = [200, 9];

/**
 * β = 0 and the least of other β with which whole bits are others, ascending: many β come to the same plan, on which a search
 * would stand still. Of more than nine on a side, nine spread evenly.
 */
export function distinctBetas(
  weights: readonly number[],
  mean: number,
  choices: readonly number[],
  bothSides: boolean,
): readonly number[] {
  const high = maxBitsBeta(mean, weights.length, choices);
  const side = (sign: 1 | -1): number[] => {
    const seen = new Set([progressionBits(weights, mean, 0, choices).join()]);
    const found: number[] = [];
    for (let look = 1; look <= LOOKS; look++) {
      const beta = (sign * high * look) / LOOKS;
      const key = progressionBits(weights, mean, beta, choices).join();
      if (!seen.has(key)) found.push(beta);
      seen.add(key);
    }
    const count = Math.min(MOST, found.length);
    return Array.from({ length: count }, (_, i) => found[Math.floor(((i + 1) * found.length) / count) - 1]!);
  };
  return [...(bothSides ? side(-1).reverse() : []), 0, ...side(1)];
}

/** Refuses a β with which a block would want bits outside the choices. @throws OptionError E_OPTION_BETA */
export function checkBitsBeta(beta: number, mean: number, blocks: number, choices: readonly number[]): void {
  const most = maxBitsBeta(mean, blocks, choices);
  if (Math.abs(beta) <= most + 1e-12) return;
  throw new OptionError(
    'E_OPTION_BETA',
    `--beta: expected at most ${most} on either side of 0, with which ${mean} bits and ${blocks} blocks stay between ${Math.min(...choices)} and ${Math.max(...choices)}; got ${beta}.`,
    { option: 'beta', got: beta, largest: most },
  );
}

/** A plan of the progression: one width for each block. With `row`, and with 8 bits, a row has one scale. */
export function allocateProgression(
  { linears, ...facts }: ModelFacts,
  mean: number,
  beta: number,
  choices: readonly number[],
  group: number | 'row',
): Plan {
  const bits = progressionBits(blockWeights({ linears, ...facts }), mean, beta, choices);
  const units = linears.map(({ id, block, columns }) => {
    const width = bits[block]!;
    return [id, { bits: { bits: width, group: group === 'row' || width === 8 ? columns : group } }] as const;
  });
  return {
    format: 'layerwise-plan',
    version: 2,
    units: Object.fromEntries(units),
    budget: { of: 'bits', target: mean, counting: 'exact' },
    from: { policy: 'progression', values: { beta } },
  };
}
