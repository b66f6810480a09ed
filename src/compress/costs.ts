// What a unit costs under a treatment, in bytes of a packed file or in nanoseconds of a token, and how a budget that users
// state (bits, size, tokens per second) becomes a budget for the units alone.

import { OptionError } from '../base/index.js';
import { describeTensors, type Model } from '../model/index.js';
import { estimateTable, estimateTensor, type HeadValues } from '../packed/index.js';
import { chooseItems, type LinearUnit, widthGroups } from '../plan/index.js';
import type { Treatment } from '../records/index.js';
import { formatBytes } from '../words/index.js';

/** What a user gives: bits per weight with scales, bytes of the packed file, or tokens per second of one sequence. */
export type CompressBudget = {
  readonly kind: 'bits' | 'size' | 'tokens-per-second';
  readonly value: number;
};

/** Budget and costs of the units, in one unit. */
export type Costing = {
  readonly of: 'bytes' | 'nanoseconds';
  /** What the units may cost together. */
  readonly limit: number;
  costOf(linears: readonly LinearUnit[], treatment: Treatment): number;
};

/** Bytes of a .lw file beside tensors: the directory's entry of a tensor, and what a file has once. */
const ENTRY_BYTES = 400;
const FRAME_BYTES = 8192;

/**
 * @throws OptionError E_OPTION_SIZE, E_OPTION_TOKENS_PER_SECOND if what does not change alone is beyond the budget
 */
export function costing(
  model: Model,
  units: readonly LinearUnit[],
  { kind, value }: CompressBudget,
  { head, threads, fileBytes }: { readonly head: HeadValues; readonly threads: number; readonly fileBytes: number },
): Costing {
  const estimate = (unit: LinearUnit, treatment: Treatment) => estimateTensor(unit, treatment.bits!.bits);
  const bytes = (linears: readonly LinearUnit[], treatment: Treatment): number =>
    linears.reduce((sum, unit) => sum + estimate(unit, treatment).bytes, 0);
  if (kind === 'bits') {
    const weights = units.reduce((sum, unit) => sum + unit.weights, 0);
    return { of: 'bytes', limit: Math.floor((value * weights) / 8 + 1e-6), costOf: bytes };
  }
  const named = new Set(units.map(({ id }) => `${id}.weight`));
  const tensors = describeTensors(model.config, model.tensorNames);
  const rest = tensors
    .filter(({ name }) => !named.has(name))
    .map((tensor) => estimateTable(tensor, head, model.config.tied));
  if (kind === 'size') {
    const fixed =
      rest.reduce((sum, one) => sum + one.bytes, 0) + tensors.length * ENTRY_BYTES + fileBytes + FRAME_BYTES;
    if (fixed < value) return { of: 'bytes', limit: Math.floor(value - fixed), costOf: bytes };
    throw new OptionError(
      'E_OPTION_SIZE',
      `--size: expected more than ${formatBytes(fixed)}, which embeddings, head, norms and texts need alone, got ${formatBytes(value)}. Allow more, or use --head int4.`,
      { option: 'size', got: value, smallest: fixed },
    );
  }
  const seconds = rest.reduce((sum, one) => sum + one.seconds, 0);
  const limit = (1 / value) * threads - seconds;
  if (limit > 0) {
    return {
      of: 'nanoseconds',
      limit: limit * 1e9,
      costOf: (linears, treatment) => linears.reduce((sum, unit) => sum + estimate(unit, treatment).seconds * 1e9, 0),
    };
  }
  throw new OptionError(
    'E_OPTION_TOKENS_PER_SECOND',
    `--tokens-per-second: expected at most about ${(threads / seconds).toPrecision(3)}, which embeddings and head allow on ${threads} threads, got ${value}.`,
    { option: 'tokens-per-second', got: value, largest: threads / seconds },
  );
}

/** The linears of each unit: q, k and v; gate and up; others alone. */
export const unitsOf = (linears: readonly LinearUnit[]): readonly (readonly LinearUnit[])[] =>
  widthGroups(linears, true).map((members) => members.map((index) => linears[index]!));

/** @throws OptionError E_OPTION_BUDGET where even the cheapest treatments of all units cost more than the budget */
export function requireRoom(
  units: readonly LinearUnit[],
  treatments: readonly Treatment[],
  { costOf, limit }: Costing,
): void {
  const items = unitsOf(units).map((group) =>
    treatments.map((treatment) => ({ cost: costOf(group, treatment), damage: 0 })),
  );
  chooseItems(items, limit);
}
