// Bits per weight. Quantisation error falls fourfold with a bit, so the damage of linear l at b bits is D_l·4^(b₀ − b), where
// D_l = KL(dense ‖ only l quantised at b₀). With P_l weights, minimising the sum under Σ P_l·b_l = b̄·Σ P_l gives
//   b_l = b̄ + gain·(ln(D_l/P_l) − mean)/ln 4 + line·(1 − 2i/(L−1)),
// the rule of the policy `layerwise` with the sign turned: mean = weighted by P, i = block, L = blocks; gain = 1, line = 0 is
// the optimum. ATP over bits: b_i = b̄ + β((L−1)/2 − i), so β > 0 gives early blocks more, as it gives them fewer zeros.
// Whole bits come from a menu by lagrange.ts, with the damage P_l·4^(b_l − b): its optimum without a menu is b_l itself.

import { InternalError, OptionError } from '../base/index.js';
import type { Plan } from '../records/index.js';
import { chooseItems } from './lagrange.js';
import type { ModelFacts } from './policy.js';
import type { LinearUnit } from './unit.js';

/** The widths that quantisers make and layouts hold. */
export const BIT_MENU: readonly number[] = [2, 3, 4, 8];

/** Columns that share a scale. */
const GROUP = 128;
/** Divergences below this are noise, nats per token. */
const SMALLEST_DIVERGENCE = 1e-7;

/** How bits are spread: one number for every linear, ATP's line over blocks, or by measured sensitivity. */
export type BitsRule =
  | { readonly rule: 'uniform' }
  | { readonly rule: 'atp'; readonly beta: number }
  | {
      readonly rule: 'layerwise';
      /** D_l of each linear, nats per token. */
      readonly sensitivity: readonly number[];
      readonly gain: number;
      /** Bits that the first block has above, and the last below, what the rule without it gives. */
      readonly line: number;
    };

/** ATP's line for β, in bits per block. */
export const atpBits = (mean: number, blocks: number, beta: number): number[] =>
  Array.from({ length: blocks }, (_, i) => mean + beta * ((blocks - 1) / 2 - i));

/** Bits of each linear, not whole and not limited. Their weighted mean is `mean` where blocks are equally large. */
export function continuousBits(facts: ModelFacts, mean: number, rule: BitsRule): number[] {
  const { linears, blocks } = facts;
  if (rule.rule === 'uniform') return linears.map(() => mean);
  if (rule.rule === 'atp') {
    const line = atpBits(mean, blocks, rule.beta);
    return linears.map(({ block }) => line[block]!);
  }
  const logs = linears.map(({ weights }, l) => Math.log(Math.max(rule.sensitivity[l]!, SMALLEST_DIVERGENCE) / weights));
  const total = linears.reduce((sum, { weights }) => sum + weights, 0);
  const average = linears.reduce((sum, { weights }, l) => sum + weights * logs[l]!, 0) / total;
  return linears.map(({ block }, l) => {
    const depth = blocks > 1 ? 1 - (2 * block) / (blocks - 1) : 0;
    return mean + (rule.gain * (logs[l]! - average)) / Math.log(4) + rule.line * depth;
  });
}

/** Linears that inference engines compute as one matrix and store with one width: q, k and v; gate and up. */
const FUSED: readonly (readonly string[])[] = [
  ['q', 'k', 'v'],
  ['gate', 'up'],
];

/** Indices of the linears that share a width: those of a fused matrix, or each alone. */
export function widthGroups(linears: readonly LinearUnit[], fused: boolean): readonly (readonly number[])[] {
  const groups = new Map<string, number[]>();
  for (const [l, { id, block, role }] of linears.entries()) {
    const family = fused ? FUSED.findIndex((roles) => roles.includes(role)) : -1;
    // An expert's gate and up are fused with each other, not with those of other experts: its module has a name of its own.
    const parent = id.slice(0, id.lastIndexOf('.') + 1);
    const key = family < 0 ? id : `${block} ${parent} ${family}`;
    groups.set(key, [...(groups.get(key) ?? []), l]);
  }
  return [...groups.values()];
}

export type BitsInput = {
  readonly facts: ModelFacts;
  /** b̄: the most bits per weight on average, without scales. */
  readonly mean: number;
  readonly rule: BitsRule;
  /** Widths to choose from. Defaults to BIT_MENU. */
  readonly menu?: readonly number[];
  /** Whether q, k and v, and gate and up, get one width. Defaults to false. */
  readonly fused?: boolean;
  /** Columns that share a scale. Defaults to 128. */
  readonly group?: number;
};

/** Whole bits of each linear from a menu, at most `mean` per weight. @throws OptionError E_OPTION_BITS, E_OPTION_BUDGET */
export function wholeBits(
  linears: readonly LinearUnit[],
  continuous: readonly number[],
  mean: number,
  menu: readonly number[] = BIT_MENU,
  fused = false,
): number[] {
  const widths = checkMenu(menu);
  checkMean(mean, widths);
  const groups = widthGroups(linears, fused);
  const items = groups.map((members) =>
    widths.map((bits) => ({
      cost: members.reduce((sum, l) => sum + linears[l]!.weights * bits, 0),
      damage: members.reduce((sum, l) => sum + linears[l]!.weights * 4 ** (continuous[l]! - bits), 0),
    })),
  );
  const weights = linears.reduce((sum, unit) => sum + unit.weights, 0);
  // A product such as 3.3 × 1000 may miss a whole number by rounding; count it as that number.
  const { picks } = chooseItems(items, Math.floor(mean * weights + 1e-6));
  const bits = new Array<number>(linears.length);
  for (const [g, members] of groups.entries()) for (const l of members) bits[l] = widths[picks[g]!]!;
  return bits;
}

/** A plan of whole bits for every linear. @throws OptionError E_OPTION_BITS, E_OPTION_BUDGET */
export function allocateBits({ facts, mean, rule, menu, fused = false, group = GROUP }: BitsInput): Plan {
  const { linears } = facts;
  if (rule.rule === 'layerwise' && rule.sensitivity.length !== linears.length) {
    throw new InternalError('E_INTERNAL_ALLOCATION', `Bits need a sensitivity for each of ${linears.length} linears.`);
  }
  const bits = wholeBits(linears, continuousBits(facts, mean, rule), mean, menu, fused);
  const { rule: policy, ...numbers } = rule;
  const { beta, gain, line } = numbers as { readonly beta?: number; readonly gain?: number; readonly line?: number };
  const values = Object.entries({ beta, gain, line }).filter(
    (entry): entry is [string, number] => entry[1] !== undefined,
  );
  return {
    format: 'layerwise-plan',
    version: 2,
    units: Object.fromEntries(linears.map(({ id }, l) => [id, { bits: { bits: bits[l]!, group } }])),
    budget: { of: 'bits', target: mean, counting: 'exact' },
    from: { policy, values: Object.fromEntries(values) },
  };
}

function checkMenu(menu: readonly number[]): readonly number[] {
  const widths = [...new Set(menu)].sort((a, b) => a - b);
  if (widths.length > 0 && widths.every((bits) => BIT_MENU.includes(bits))) return widths;
  throw new OptionError('E_OPTION_BITS', `Expected widths out of ${BIT_MENU.join(', ')} to choose from, got ${menu}.`, {
    expected: BIT_MENU,
    got: menu,
  });
}

function checkMean(mean: number, widths: readonly number[]): void {
  if (mean >= widths[0]!) return;
  throw new OptionError(
    'E_OPTION_BITS',
    `Expected at least ${widths[0]} bits per weight on average, the smallest width to choose from, got ${mean}.`,
    { smallest: widths[0], got: mean },
  );
}
