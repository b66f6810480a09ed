// One trial: rates → counts → the sequential procedure → a record. Everything that does not depend on the rates is
// prepared once and shared. Of the pruned blocks on disk only uniform's and the best's are kept.

import { rm } from 'node:fs/promises';
import type { OnProgress } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { summarise } from '../evaluate/index.js';
import type { Model } from '../model/index.js';
import { type MaskCriterion, maskOf, type Pattern, parsePattern } from '../operators/index.js';
import {
  blockPath,
  type DensePass,
  isWholeBlock,
  measureMisalignment,
  pruneSequentially,
  scoreSurrogate,
  tapBlock,
} from '../pipeline/index.js';
import { blockRates, countInGroups, countPruned, type ModelFacts, type Rates, type Values } from '../plan/index.js';
import type { SquareSums } from '../profile/index.js';
import { pairedInterval, type Trial } from '../records/index.js';
import type { Text } from '../stream/index.js';
import type { PruneSettings } from './settings.js';
import type { Workspace } from './workspace.js';

/** A candidate: a name for its files, the policy's hyperparameters, the rate of each block and of each linear. */
export type Candidate = {
  readonly key: string;
  readonly values: Values;
  readonly rates: readonly number[];
  readonly rateOf: (linear: string) => number;
};

export type TimedTrial = Trial & { readonly seconds: number };

export type TrialContext = {
  readonly settings: PruneSettings;
  readonly engine: Engine;
  readonly model: Model;
  readonly workspace: Workspace;
  readonly calibration: Text | undefined;
  readonly validation: Text | undefined;
  readonly dense: DensePass | undefined;
};

/** Rates as a candidate, named for the policy and its hyperparameters. */
export function candidateOf(facts: ModelFacts, policy: string, values: Values, rates: Rates): Candidate {
  const key = [policy, ...Object.entries(values).map(([name, value]) => `${name}-${value}`)].join('-');
  return { key, values, rates: blockRates(rates, facts), rateOf: (name) => rates.get(name)! };
}

const betaOf = (candidate: Candidate): number | null => candidate.values.beta ?? null;

/** How many weights of each linear go, in numbers that the pattern can be filled with. */
export const countsOf = (
  { pattern, budget }: PruneSettings,
  model: Model,
  rateOf: (linear: string) => number,
): ReadonlyMap<string, number> => {
  const linears = model.linears.flat();
  return pattern.kind === 'n:m' ? countInGroups(linears, rateOf, pattern.of) : countPruned(linears, rateOf, budget);
};

/** What masks are made with where a solver is too dear: its stand-in, with that one's pattern unless it is n:m. */
export function masking({ criterion, pattern }: PruneSettings): { criterion: MaskCriterion; pattern: Pattern } {
  const mask = maskOf(criterion);
  return {
    criterion: mask,
    pattern: mask === criterion || pattern.kind === 'n:m' ? pattern : parsePattern(mask.patterns[0]!),
  };
}

export type Trials = ReturnType<typeof createTrials>;

/** Runs trials and remembers what they share. */
export function createTrials(context: TrialContext) {
  const { settings, engine, model, workspace, calibration, validation, dense } = context;
  let firstSquareSums: SquareSums | undefined;

  const dirOf = (key: string): string => workspace.at('trials', key);

  const sequenceOf = (candidate: Candidate) => ({
    engine,
    model,
    criterion: settings.criterion,
    pattern: settings.pattern,
    counts: countsOf(settings, model, candidate.rateOf),
    calibration,
    dir: dirOf(candidate.key),
    onProgress: settings.onProgress,
  });

  const exact = async (candidate: Candidate, uniformNll: readonly number[] | undefined): Promise<TimedTrial> => {
    return await workspace.step(`trial-${candidate.key}`, async () => {
      const started = performance.now();
      if (settings.criterion.kind === 'mask' && settings.criterion.needsActivations && !firstSquareSums) {
        firstSquareSums = dense?.squareSums[0] ?? (await tapBlock(engine, model, 0, calibration!.embedded));
      }
      announce(settings.onProgress, candidate, model.config.blocks);
      const { nll, errors } = await pruneSequentially({
        ...sequenceOf(candidate),
        validation,
        trace: dense?.trace,
        firstSquareSums,
      });
      const trial = {
        beta: betaOf(candidate),
        hyperparameters: { ...candidate.values },
        rates: [...candidate.rates],
        exact: true,
        validation: summarise(nll, validation?.windows.length ?? 0),
        interval: pairedInterval(nll, uniformNll ?? nll),
        errors: [...errors],
      };
      return { ...trial, seconds: (performance.now() - started) / 1000 };
    });
  };

  const surrogate = async (candidate: Candidate, text: Text, uniformNll: readonly number[]): Promise<TimedTrial> => {
    return await workspace.step(`surrogate-${candidate.key}`, async () => {
      const started = performance.now();
      const nll = await scoreSurrogate(
        {
          engine,
          model,
          ...masking(settings),
          counts: countsOf(settings, model, candidate.rateOf),
          calibration,
          dir: dirOf(`surrogate-${candidate.key}`),
        },
        dense!,
        text,
      );
      const trial = {
        beta: betaOf(candidate),
        hyperparameters: { ...candidate.values },
        rates: [...candidate.rates],
        exact: false,
        validation: summarise(nll, text.windows.length),
        interval: pairedInterval(nll, uniformNll),
        errors: [],
      };
      return { ...trial, seconds: (performance.now() - started) / 1000 };
    });
  };

  /** NeuronAl's misalignment of a candidate on `text`. */
  const misalignment = async (candidate: Candidate, text: Text): Promise<number> => {
    return await workspace.step(`alignment-${candidate.key}`, async () => {
      const sequence = sequenceOf(candidate);
      return await measureMisalignment({ ...sequence, dir: dirOf(`alignment-${candidate.key}`) }, text);
    });
  };

  /** Removes the pruned blocks of a candidate that lost. */
  const discard = (key: string): Promise<void> => rm(dirOf(key), { recursive: true, force: true });

  /** Sees to it that a finished trial's blocks are there and whole: an earlier attempt's may be lost in a power cut. */
  const restore = async (candidate: Candidate): Promise<void> => {
    for (const block of model.linears.keys()) {
      if (await isWholeBlock(model, block, blockPath(dirOf(candidate.key), block))) continue;
      announce(settings.onProgress, candidate, model.config.blocks);
      await pruneSequentially({ ...sequenceOf(candidate), validation: undefined, trace: undefined, firstSquareSums });
      return;
    }
  };

  return { exact, surrogate, misalignment, restore, discard, dirOf };
}

function announce(onProgress: OnProgress, candidate: Candidate, blocks: number): void {
  onProgress({ kind: 'stage', stage: `trial: ${describeValues(candidate.values) || candidate.key}`, total: blocks });
}

const SYMBOLS: Readonly<Record<string, string>> = { beta: 'β', lambda: 'λ' };

export const symbolOf = (name: string): string => SYMBOLS[name] ?? name;

/** Hyperparameters as people read them: `β = 0.006061`. */
export const describeValues = (values: Values): string =>
  Object.entries(values)
    .map(([name, value]) => `${symbolOf(name)} = ${Number(value.toPrecision(4))}`)
    .join(', ');
