// The options of a removal of experts, completed and checked before a weight is read.

import { OptionError, UnsupportedError } from '../base/index.js';
import type { Model } from '../model/index.js';
import { requireAlignable } from '../pipeline/index.js';
import {
  countEqually,
  countFreely,
  EXPERT_ALLOCATIONS,
  type ExpertAllocation,
  type ExpertMethod,
  expertFacts,
  findExpertMethod,
  findPolicy,
  type MixtureBlock,
  spareTarget,
  validateValues,
} from '../plan/index.js';
import {
  conflict,
  DEFAULTS,
  normaliseGreedy,
  normaliseRun,
  normaliseWindowing,
  oneOf,
  type RunOptions,
  type RunSettings,
  refuseMissing,
  type TextSettings,
  type WindowingOptions,
  wholeNumber,
} from '../runs/index.js';

export type ExpertsOptions = RunOptions &
  WindowingOptions & {
    /** Directory of a Hugging Face checkpoint with experts, or its name on the Hub. */
    readonly checkpoint: string;
    /** Directory to write; must not exist. */
    readonly out: string;
    /** The share of the experts that stay, between 0 and 1. */
    readonly keep: number;
    /** `reap`, `frequency` or `merge`. Defaults to `reap`. */
    readonly method?: string;
    /** Of merge: `neurons` (brought into one order before the average) or `none`. Defaults to `neurons`. */
    readonly align?: string;
    /** `equal` or `free`: whether all blocks keep the same number. Defaults to `equal`. */
    readonly perLayer?: string;
    /** Of free: `uniform`, `atp` or `global`. Defaults to `atp`. */
    readonly allocation?: string;
    /** Of atp: the common difference between neighbouring blocks. Searched on validation text where absent. */
    readonly beta?: number;
    /** Trials of a search besides uniform. Defaults to 6. */
    readonly maxTrials?: number;
    /** Text files, or names of data sets: what experts are scored on, what β is chosen by, what is scored at the end. */
    readonly calibration: string;
    readonly validation?: string;
    readonly test?: string;
    /** Tokens of each greedy text whose first divergence from the dense model's is measured; 0 measures none. Defaults to 64. */
    readonly greedyTokens?: number;
    /** Continue a run that was interrupted. Defaults to false. */
    readonly resume?: boolean;
  };

export type ExpertsSettings = RunSettings &
  TextSettings & {
    readonly checkpoint: string;
    readonly out: string;
    readonly keep: number;
    readonly method: ExpertMethod;
    readonly align: 'neurons' | 'none' | undefined;
    readonly perLayer: 'equal' | 'free';
    readonly allocation: ExpertAllocation | undefined;
    readonly beta: number | undefined;
    readonly maxTrials: number;
    readonly greedyTokens: number;
    readonly resume: boolean;
  };

/** @throws OptionError E_OPTION_… */
export function normaliseExperts(options: ExpertsOptions): ExpertsSettings {
  const { keep, calibration, validation, beta } = options;
  if (!(keep > 0 && keep < 1)) {
    const message = `--keep: expected the share of experts that stay, between 0 and 1 (exclusive), such as 0.75, got ${keep}.`;
    throw new OptionError('E_OPTION_KEEP', message, { option: 'keep', got: keep });
  }
  const method = findExpertMethod(options.method ?? 'reap');
  if (calibration === undefined) refuseMissing('calibration', 'a text file, because experts are scored on text');
  const merges = method.name === 'merge';
  if (options.align !== undefined && !merges) conflict('align', `method ${method.name}`, 'it averages no weights');
  const perLayer = oneOf('per-layer', options.perLayer ?? 'equal', ['equal', 'free']);
  const free = perLayer === 'free';
  if (options.allocation !== undefined && !free)
    conflict('allocation', `per-layer ${perLayer}`, 'all blocks keep the same number');
  const allocation = free
    ? oneOf('allocation', options.allocation ?? DEFAULTS.allocation, EXPERT_ALLOCATIONS)
    : undefined;
  if (beta !== undefined && allocation !== 'atp')
    conflict('beta', free ? `allocation ${allocation}` : `per-layer ${perLayer}`, 'it is a number of atp');
  if (allocation === 'atp' && beta === undefined && validation === undefined)
    refuseMissing('validation', 'a text file, because β is searched on it, or a value by --beta');
  return {
    ...normaliseRun(options),
    checkpoint: options.checkpoint,
    out: options.out,
    keep,
    method,
    align: merges ? oneOf('align', options.align ?? 'neurons', ['neurons', 'none']) : undefined,
    perLayer,
    allocation,
    beta,
    maxTrials: wholeNumber('max-trials', options.maxTrials ?? DEFAULTS.maxTrials, 1, 1000),
    calibration,
    validation,
    test: options.test,
    ...normaliseWindowing(options),
    greedyTokens: normaliseGreedy(options.greedyTokens),
    resume: options.resume ?? false,
  };
}

/** The budget of a removal: the blocks that have experts, and how many stay, in each or in all. */
export type ExpertBudget = {
  readonly blocks: readonly MixtureBlock[];
  /** Of equal: the number of each block. */
  readonly equal: readonly number[] | undefined;
  readonly total: number;
};

/**
 * What the settings ask of a model.
 * @throws OptionError E_OPTION_KEEP, E_OPTION_PER_LAYER, E_OPTION_HYPERPARAMETERS
 * @throws UnsupportedError E_UNSUPPORTED_EXPERTS where it has no experts, E_UNSUPPORTED_MERGE
 */
export function budgetExperts(settings: ExpertsSettings, model: Model): ExpertBudget {
  const { keep, perLayer, beta, align } = settings;
  const blocks = model.config.mixtures.flatMap((mixture, block) => (mixture ? [{ ...mixture, block }] : []));
  if (blocks.length === 0) {
    const message = `${settings.checkpoint}: expected a mixture of experts (mixtral, qwen3_moe); this ${model.config.family} has one MLP in each block. layerwise drop removes whole blocks.`;
    throw new UnsupportedError('E_UNSUPPORTED_EXPERTS', message, { family: model.config.family });
  }
  if (align === 'neurons') requireAlignable(model);
  if (perLayer === 'equal') {
    const equal = countEqually(blocks, keep);
    return { blocks, equal, total: equal.reduce((a, b) => a + b, 0) };
  }
  const total = countFreely(blocks, keep);
  if (beta !== undefined) validateValues(findPolicy('atp'), { beta }, spareTarget(blocks, total), expertFacts(blocks));
  return { blocks, equal: undefined, total };
}
