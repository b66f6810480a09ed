// Collects any set of measures in one walk over the blocks of the dense model. Each weight is read once and each score
// computed once, whatever the number of measures. Only the measures' results are kept for the whole model; the scores
// of the current block are kept where a measure needs them together.

import { OptionError } from '../base/index.js';
import type { Linear } from '../model/index.js';
import type { Measured, MeasureName } from '../records/index.js';
import { alpha } from './alpha.js';
import type { Grams } from './gram.js';
import { halfError } from './half-error.js';
import { lamp } from './lamp.js';
import type { BlockInputs, Measure } from './measure.js';
import { redundancy } from './redundancy.js';
import { outliers, scoreMoments, scores } from './scores.js';

/** The measures that one walk over the dense model collects. The others have procedures of their own. */
const MEASURES: ReadonlyMap<MeasureName, Measure> = new Map(
  ([outliers, scoreMoments, scores, lamp, alpha, redundancy, halfError] as Measure[]).map((measure) => [
    measure.name,
    measure,
  ]),
);

/** All measures that the dense pass can collect. */
export const COLLECTED: readonly MeasureName[] = [...MEASURES.keys()];

/** Those that cost no more than reading the weights and a pass over them. */
export const COLLECTED_BY_DEFAULT: readonly MeasureName[] = COLLECTED.filter((name) => name !== 'halfError');

/** The measures among `names` that the dense pass collects. */
export const collectable = (names: readonly MeasureName[]): readonly MeasureName[] =>
  names.filter((name) => MEASURES.has(name));

/** The measures among `names` that need calibration text. */
export const needCalibration = (names: readonly MeasureName[]): readonly MeasureName[] =>
  names.filter((name) => (MEASURES.get(name)?.looksAt ?? 'weights') !== 'weights');

/** @throws OptionError E_OPTION_CALIBRATION where a policy's measures need calibration text and there is none */
export function requireCalibration(
  policy: { readonly name: string; readonly needs: readonly MeasureName[] },
  given: boolean,
): void {
  const [measure] = needCalibration(policy.needs);
  if (given || measure === undefined) return;
  throw new OptionError(
    'E_OPTION_CALIBRATION',
    `--calibration: expected a text file; the allocation ${policy.name} needs the measure ${measure}, which is taken on calibration text. Pass one, or use --allocation uniform, atp, er or lamp.`,
    { option: 'calibration', policy: policy.name, measure },
  );
}

/** Accessors for a block's weights, scores and inputs. */
export type BlockReader = {
  readonly linears: readonly Linear[];
  readonly weights: (linear: Linear) => Promise<Float32Array>;
  /** |W_ij|·‖X_j‖₂. */
  readonly scores: (linear: Linear, weights: Float32Array) => Float32Array;
  readonly inputs: () => Promise<BlockInputs>;
  /** Σ xᵀx of the inputs of the block’s linears, by site. */
  readonly grams: () => Promise<Grams>;
};

export type Collection = {
  readonly names: readonly MeasureName[];
  /** Collects from the next block. */
  block(reader: BlockReader): Promise<void>;
  result(): Partial<Measured>;
};

/** Starts collecting the collectable measures among `names`. */
export function startCollection(names: readonly MeasureName[]): Collection {
  const running = collectable(names).map((name) => {
    const measure = MEASURES.get(name)!;
    return { name, looksAt: measure.looksAt, accumulator: measure.start() };
  });
  const looksAt = (what: Measure['looksAt']): boolean => running.some((one) => one.looksAt === what);
  const together = running.some(({ accumulator }) => accumulator.block);
  return {
    names: running.map(({ name }) => name),
    block: async ({ linears, weights: read, scores: score, inputs, grams: measureGrams }) => {
      const kept: Float32Array[] = [];
      const grams = looksAt('grams') ? await measureGrams() : {};
      if (looksAt('weights') || looksAt('scores') || looksAt('grams')) {
        for (const linear of linears) {
          const weights = await read(linear);
          const view = {
            linear,
            weights,
            scores: looksAt('scores') ? score(linear, weights) : EMPTY,
            gram: grams[linear.site] ?? EMPTY,
          };
          for (const { accumulator } of running) accumulator.linear?.(view);
          if (together) kept.push(view.scores);
        }
        for (const { accumulator } of running) accumulator.block?.(kept);
      }
      if (!looksAt('inputs')) return;
      const taken = await inputs();
      for (const { accumulator } of running) accumulator.inputs?.(taken, linears);
    },
    result: () => Object.fromEntries(running.map(({ name, accumulator }) => [name, accumulator.result()])),
  };
}
const EMPTY = new Float32Array(0);
