// What a unit costs under a treatment, in stored bits, in bytes of the file, in nanoseconds of a token or in weights kept, and how a budget
// that users state (bits, size, tokens per second, zeros) becomes a budget for the units alone. A budget that no choice meets is
// refused here, from shapes alone.

import { OptionError } from '../base/index.js';
import { describeTensors, type Model } from '../model/index.js';
import { estimateTable, estimateTensor, type HeadValues, storedBits } from '../packed/index.js';
import { countOf, type LinearUnit, widthGroups } from '../plan/index.js';
import type { Treatment } from '../records/index.js';
import { formatBytes } from '../words/index.js';

/** What a user gives: bits per weight with scales, bytes of the file, tokens per second of one sequence, or a share of zeros. */
export type CompressBudget = {
  readonly kind: 'bits' | 'size' | 'tokens-per-second' | 'zeros';
  readonly value: number;
  /** Threads that the tokens per second are meant for. */
  readonly threads?: number;
};

/** Budget and costs of the units, in one unit. */
export type Costing = {
  readonly of: 'bits' | 'bytes' | 'nanoseconds' | 'parameters';
  /** What the units may cost together. */
  readonly limit: number;
  costOf(linears: readonly LinearUnit[], item: Treatment | null): number;
};

/** Bytes of a .lw file beside tensors: the directory's entry of a tensor, and what a file has once. */
const ENTRY_BYTES = 400;
const FRAME_BYTES = 8192;

/** What must be known of a run beside its budget. */
type CostFacts = {
  readonly items: readonly (Treatment | null)[];
  readonly head: HeadValues;
  /** Bytes of the texts in the packed file. */
  readonly fileBytes: number;
  /** Of a GGUF file: all but the blocks' linears. Absent for our own. */
  readonly gguf?: { readonly fixedBytes: number } | undefined;
  /** Whether whole blocks may go: then all but one may cost nothing. */
  readonly drops: boolean;
};

/** @throws OptionError E_OPTION_BITS, E_OPTION_SIZE, E_OPTION_TOKENS_PER_SECOND if the cheapest treatments are beyond the budget */
export function costing(
  model: Model,
  units: readonly LinearUnit[],
  { kind, value, threads = 1 }: CompressBudget,
  { items, head, fileBytes, gguf, drops }: CostFacts,
): Costing {
  /** The cost of linears, and the least cost of all units. */
  const summing = (of: (unit: LinearUnit, treatment: Treatment) => number) => {
    const costOf: Costing['costOf'] = (linears, item) => linears.reduce((sum, unit) => sum + of(unit, item!), 0);
    const leastOf = (some: readonly LinearUnit[]): number =>
      unitsOf(some).reduce((sum, linears) => sum + Math.min(...items.map((item) => costOf(linears, item))), 0);
    const blocks = model.linears.map((_, block) => units.filter((unit) => unit.block === block));
    return { costOf, least: drops ? Math.min(...blocks.map(leastOf)) : leastOf(units) };
  };
  const weights = units.reduce((sum, unit) => sum + unit.weights, 0);
  if (kind === 'zeros') {
    return { ...plainCosts(items), of: 'parameters', limit: Math.floor((1 - value) * weights + 1e-6) };
  }
  if (kind === 'bits') {
    const { costOf, least } = summing(gguf ? ggufBits : bitsOfItem);
    const limit = Math.floor(value * weights + 1e-6);
    if (least <= limit) return { of: 'bits', limit, costOf };
    const smallest = roundUp(least / weights);
    const other = gguf
      ? ` in a GGUF file that keeps their integers; for fewer write a .lw file or a directory, or use \`layerwise export --type q3_k\` on the checkpoint`
      : '';
    throw new OptionError(
      'E_OPTION_BITS',
      `--bits: expected at least ${smallest}, the fewest that the linears of this model take with their scales${other}, got ${value}.`,
      { option: 'bits', got: value, smallest },
    );
  }
  const named = new Set(units.map(({ id }) => `${id}.weight`));
  const tensors = describeTensors(model.config, model.tensorNames);
  const rest = tensors
    .filter(({ name }) => !named.has(name))
    .map((tensor) => estimateTable(tensor, head, model.config.tied));
  if (kind === 'size') {
    const { costOf, least } = summing(
      gguf
        ? (unit, item) => ggufBits(unit, item) / 8
        : (unit, item) => estimateTensor(unit, item.bits!.bits, keptOf(item)).bytes,
    );
    const own = rest.reduce((sum, one) => sum + one.bytes, 0) + tensors.length * ENTRY_BYTES + fileBytes + FRAME_BYTES;
    const fixed = gguf?.fixedBytes ?? own;
    const limit = Math.floor(value - fixed);
    if (least <= limit) return { of: 'bytes', limit, costOf };
    const smallest = fixed + least;
    throw new OptionError(
      'E_OPTION_SIZE',
      `--size: expected at least ${smallest} bytes (${formatBytes(smallest)}), of which embeddings, head, norms and texts need ${formatBytes(fixed)}; got ${value}. Allow more${head === 'int4' ? '' : ', or use --head int4'}.`,
      { option: 'size', got: value, smallest },
    );
  }
  const { costOf, least } = summing(
    (unit, item) => estimateTensor(unit, item.bits!.bits, keptOf(item), 'auto').seconds * 1e9,
  );
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

/** Costs of a table that is not of one budget. */
export function plainCosts(items: readonly (Treatment | null)[]): Pick<Costing, 'of' | 'costOf'> {
  const sum =
    (of: (unit: LinearUnit, item: Treatment | null) => number): Costing['costOf'] =>
    (linears, item) =>
      linears.reduce((total, unit) => total + of(unit, item), 0);
  if (items.some((item) => item?.bits)) return { of: 'bits', costOf: sum((unit, item) => bitsOfItem(unit, item!)) };
  return { of: 'parameters', costOf: sum(weightsKept) };
}

const weightsKept = ({ weights }: LinearUnit, item: Treatment | null): number =>
  weights - countOf(item?.zeros?.rate ?? 0, weights);

/** Of sixteen columns, those that a treatment keeps. */
const keptOf = ({ zeros }: Treatment): number => 16 - Math.round(16 * (zeros?.rate ?? 0));

const bitsOfItem = (unit: LinearUnit, item: Treatment): number => storedBits(unit, item.bits!, keptOf(item));

/** In GGUF a scale belongs to 32 weights: Q4_0 holds up to 4 bits, Q8_0 eight. */
const ggufBits = ({ weights }: LinearUnit, { bits }: Treatment): number => weights * (bits!.bits === 8 ? 8.5 : 4.5);

/** The smallest number of three decimals that is not below. */
const roundUp = (value: number): number => Math.ceil(value * 1000 - 1e-9) / 1000;

/** The linears of each unit: q, k and v; gate and up; others alone. */
export const unitsOf = (linears: readonly LinearUnit[]): readonly (readonly LinearUnit[])[] =>
  widthGroups(linears, true).map((members) => members.map((index) => linears[index]!));
