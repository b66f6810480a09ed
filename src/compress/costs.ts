// What a unit costs under a treatment, in stored bits, in bytes of a packed file or in nanoseconds of a token, and how a budget
// that users state (bits, size, tokens per second) becomes a budget for the units alone. A budget that no choice meets is
// refused here, from shapes alone.

import { OptionError } from '../base/index.js';
import { describeTensors, type Model } from '../model/index.js';
import { estimateTable, estimateTensor, type HeadValues } from '../packed/index.js';
import { type LinearUnit, widthGroups } from '../plan/index.js';
import type { Treatment } from '../records/index.js';
import { formatBytes } from '../words/index.js';

/** What a user gives: bits per weight with scales, bytes of the packed file, or tokens per second of one sequence. */
export type CompressBudget = {
  readonly kind: 'bits' | 'size' | 'tokens-per-second';
  readonly value: number;
  /** Threads that the tokens per second are meant for. */
  readonly threads?: number;
};

/** Budget and costs of the units, in one unit. */
export type Costing = {
  readonly of: 'bits' | 'bytes' | 'nanoseconds';
  /** What the units may cost together. */
  readonly limit: number;
  costOf(linears: readonly LinearUnit[], treatment: Treatment): number;
};

/** Bytes of a .lw file beside tensors: the directory's entry of a tensor, and what a file has once. */
const ENTRY_BYTES = 400;
const FRAME_BYTES = 8192;

/** What must be known of a run beside its budget. */
type CostFacts = {
  readonly treatments: readonly Treatment[];
  readonly head: HeadValues;
  /** Bytes of the texts in the packed file. */
  readonly fileBytes: number;
};

/** @throws OptionError E_OPTION_BITS, E_OPTION_SIZE, E_OPTION_TOKENS_PER_SECOND if the cheapest treatments are beyond the budget */
export function costing(
  model: Model,
  units: readonly LinearUnit[],
  { kind, value, threads = 1 }: CompressBudget,
  { treatments, head, fileBytes }: CostFacts,
): Costing {
  /** The cost of linears, and the least cost of all units. */
  const summing = (of: (unit: LinearUnit, treatment: Treatment) => number) => {
    const costOf = (linears: readonly LinearUnit[], treatment: Treatment): number =>
      linears.reduce((sum, unit) => sum + of(unit, treatment), 0);
    const least = unitsOf(units).reduce(
      (sum, linears) => sum + Math.min(...treatments.map((treatment) => costOf(linears, treatment))),
      0,
    );
    return { costOf, least };
  };
  if (kind === 'bits') {
    const { costOf, least } = summing(storedBits);
    const weights = units.reduce((sum, unit) => sum + unit.weights, 0);
    const limit = Math.floor(value * weights + 1e-6);
    if (least <= limit) return { of: 'bits', limit, costOf };
    const smallest = roundUp(least / weights);
    throw new OptionError(
      'E_OPTION_BITS',
      `--bits: expected at least ${smallest}, the fewest that the linears of this model take with their scales, got ${value}.`,
      { option: 'bits', got: value, smallest },
    );
  }
  const named = new Set(units.map(({ id }) => `${id}.weight`));
  const tensors = describeTensors(model.config, model.tensorNames);
  const rest = tensors
    .filter(({ name }) => !named.has(name))
    .map((tensor) => estimateTable(tensor, head, model.config.tied));
  if (kind === 'size') {
    const { costOf, least } = summing((unit, { bits }) => estimateTensor(unit, bits!.bits).bytes);
    const fixed =
      rest.reduce((sum, one) => sum + one.bytes, 0) + tensors.length * ENTRY_BYTES + fileBytes + FRAME_BYTES;
    const limit = Math.floor(value - fixed);
    if (least <= limit) return { of: 'bytes', limit, costOf };
    const smallest = fixed + least;
    throw new OptionError(
      'E_OPTION_SIZE',
      `--size: expected at least ${smallest} bytes (${formatBytes(smallest)}), of which embeddings, head, norms and texts need ${formatBytes(fixed)}; got ${value}. Allow more${head === 'int4' ? '' : ', or use --head int4'}.`,
      { option: 'size', got: value, smallest },
    );
  }
  const { costOf, least } = summing((unit, { bits }) => estimateTensor(unit, bits!.bits).seconds * 1e9);
  const fixed = rest.reduce((sum, one) => sum + one.seconds * 1e9, 0);
  const limit = (1e9 / value) * threads - fixed;
  if (least <= limit) return { of: 'nanoseconds', limit, costOf };
  const largest = (1e9 * threads) / (fixed + least);
  throw new OptionError(
    'E_OPTION_TOKENS_PER_SECOND',
    `--tokens-per-second: expected at most about ${Math.floor(largest)}, which this model allows on ${threads} ${threads === 1 ? 'thread' : 'threads'}, got ${value}.`,
    { option: 'tokens-per-second', got: value, largest },
  );
}

/** Bits of a linear's integers and scales, as records count them (runs/count-bits.ts), without the padding of layouts. */
function storedBits({ rows, columns }: LinearUnit, { bits }: Treatment): number {
  const { bits: width, group } = bits!;
  return rows * (width * columns + (width === 8 ? 32 : 16 * Math.ceil(columns / group)));
}

/** The smallest number of three decimals that is not below. */
const roundUp = (value: number): number => Math.ceil(value * 1000 - 1e-9) / 1000;

/** The linears of each unit: q, k and v; gate and up; others alone. */
export const unitsOf = (linears: readonly LinearUnit[]): readonly (readonly LinearUnit[])[] =>
  widthGroups(linears, true).map((members) => members.map((index) => linears[index]!));
