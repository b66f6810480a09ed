// Completes and checks the options of the jobs before any weight is read. Every message names the option as on the command
// line, what was expected, what was given, and the next step.

import { availableParallelism } from 'node:os';
import { type OnProgress, OptionError, silent } from '../base/index.js';
import { DEVICES, type Device } from '../engine/index.js';
import type { PushTarget } from '../hub/index.js';
import { linearUnits, type Model, type ModelConfig } from '../model/index.js';
import {
  findCriterion,
  formatPattern,
  type Operator,
  type Pattern,
  parsePattern,
  refitCriterion,
} from '../operators/index.js';
import {
  type AllocationPolicy,
  COUNTINGS,
  type Counting,
  findPolicy,
  hasSearch,
  openHyperparameters,
  type Values,
  validateTarget,
  validateValues,
  zeroRate,
} from '../plan/index.js';
import { collectable, requireNoExperts } from '../profile/index.js';
import { type Plan, validatePlan } from '../records/index.js';
import { WINDOW_STARTS, type WindowStart } from '../text/index.js';
import { normalisePrefix, type PrefixOptions, type PrefixSettings } from './calibration-prefix.js';
import { checkBits } from './check-bits.js';
import { checkPlan } from './check-plan.js';
import { conflict, oneOf, wholeNumber } from './checks.js';
import { DEFAULTS, JUDGES, type Judge } from './defaults.js';
import { factsOf } from './facts.js';
import {
  type GradientOptions,
  type GradientSettings,
  type HessianOptions,
  type HessianSettings,
  normaliseGradient,
  normaliseHessian,
} from './gradient-options.js';
import {
  checkImages,
  type ImageOptions,
  type ImageSettings,
  normaliseImages,
  type TowerSparsity,
  withCalibrationImages,
} from './image-options.js';
import { normaliseQueue, type QueueOptions, type QueueSettings, requireTextModel } from './queue-options.js';
import { normaliseTarget, type Shares, type TargetSettings } from './stream-shares.js';
import { normaliseTasks, type TaskOptions, type TaskSettings } from './task-options.js';
import { checkUnit, normaliseUnit, type UnitOptions, type UnitSettings } from './unit.js';

/** Where and how anything runs. */
export type RunOptions = {
  /** `cpu`, `webgpu` or `cuda`. Defaults to `cpu`. */
  readonly device?: string;
  /** Threads to compute with. Defaults to the number of processors. */
  readonly threads?: number;
  /** Receives the progress of long work. Defaults to none. */
  readonly onProgress?: OnProgress;
};

/** How texts are cut into windows. */
export type WindowingOptions = {
  /** Number of calibration windows, or images. Defaults to 128 windows, 512 images. */
  readonly calibrationSamples?: number;
  /** `random` (seeded) or `sequential` (the first windows). Defaults to `random`. */
  readonly calibrationOrder?: string;
  /** Tokens in a window. Defaults to the model's maximum, at most 2048. */
  readonly sequenceLength?: number;
  /**
   * `bos`: every window begins with the tokenizer's BOS token. `none`: windows are contiguous pieces of the text, as in the
   * pruning papers. Defaults to `bos` where the tokenizer puts BOS before a text, else to `none`.
   */
  readonly windowStart?: string;
  /** Seed of everything random. Defaults to 0. */
  readonly seed?: number;
} & ImageOptions;

export type WindowingSettings = ImageSettings & {
  /** Undefined: the default, which is another for images than for texts. */
  readonly calibrationSamples: number | undefined;
  readonly calibrationOrder: 'random' | 'sequential';
  readonly sequenceLength: number | undefined;
  readonly windowStart: WindowStart | undefined;
  readonly seed: number;
};

/** @throws OptionError E_OPTION_CALIBRATION_SAMPLES, E_OPTION_CALIBRATION_ORDER, E_OPTION_SEQUENCE_LENGTH, E_OPTION_WINDOW_START, E_OPTION_SEED */
export const normaliseWindowing = (options: WindowingOptions): WindowingSettings => ({
  calibrationSamples:
    options.calibrationSamples === undefined
      ? undefined
      : wholeNumber('calibration-samples', options.calibrationSamples, 1, 1_000_000),
  calibrationOrder: oneOf('calibration-order', options.calibrationOrder ?? DEFAULTS.calibrationOrder, [
    'random',
    'sequential',
  ]),
  sequenceLength: normaliseLength(options.sequenceLength),
  windowStart: normaliseStart(options.windowStart),
  seed: wholeNumber('seed', options.seed ?? DEFAULTS.seed, 0, 2 ** 32 - 1),
  ...normaliseImages(options),
});

/** How a plan is made. */
export type PlanOptions = {
  /** Target sparsity S over all prunable weights, 0 < S < 1. */
  readonly sparsity: number;
  /** Allocation policy, by name. Defaults to `atp`. */
  readonly allocation?: string;
  /** Short for `hyperparameters: { beta }`, ATP's common difference; searched on validation text where absent. */
  readonly beta?: number;
  /**
   * Hyperparameters of the policy by name, such as `{ line: 0.2, gain: 0.5 }`. The others get their published values, or are
   * searched if they have none.
   */
  readonly hyperparameters?: Values;
  /** `exact` or `published`. Defaults to the counting of a given plan, else to `exact`. */
  readonly budget?: string;
};

/** How a checkpoint is packed. */
export type PackingOptions = {
  /** File to write; must not exist. */
  readonly out: string;
  /**
   * Values of the blocks' linears: `int8`, `int4`, `int3`, `int2`, or `f32`, which is exact. Linears that the checkpoint has
   * scales of (layerwise.scales) keep their own integers, except with `f32`. Defaults to `int8`.
   */
  readonly values?: string;
  /** `auto` (per linear, by estimated time), `tiles` (sparse all of them), `dense`, or `smallest` (per linear, by its bytes). Defaults to `auto`. */
  readonly layout?: string;
  /** Values of the embeddings and the LM head: `int8`, `int4` or `f32`. Defaults to `f32` if `values` is `f32`, else to `int8`. */
  readonly head?: string;
};

export type PruneOptions = RunOptions &
  QueueOptions &
  WindowingOptions &
  TaskOptions &
  GradientOptions &
  HessianOptions &
  PrefixOptions &
  UnitOptions &
  Partial<PlanOptions> & {
    /** Directory of a Hugging Face checkpoint, a .gguf file, or its name on the Hub: `org/name`, `org/name@revision`. */
    readonly checkpoint: string;
    /** Directory to write; must not exist. */
    readonly out: string;
    /** With `scope: 'all'`, the sparsity of each trunk. Defaults to `sparsity` for both. */
    readonly towerSparsity?: Readonly<Record<string, number>>;
    /**
     * With `scope: 'all'`, whether `each` trunk keeps its sparsity, or they keep one together (`joint`), by an allocation over the
     * blocks of both. Defaults to `each`.
     */
    readonly towerBudget?: string;
    /** A plan to replay instead of a sparsity and an allocation. */
    readonly plan?: Plan;
    /** `wanda`, `ria`, `dsnot`, `dsnot-magnitude`, `dsnot-ria`, `dsnot-sparsegpt`, `sparsegpt`, `admm` or `magnitude`. Defaults to `wanda`. */
    readonly criterion?: string;
    /**
     * Where weights compete: `row`, `matrix`, `columns` (128 of them), `2:4` and the like (2 KEPT of every 4 consecutive
     * columns of every linear), or `n:4`, `n:8`, `n:16`, `n:32` (each linear its own n). Defaults to the criterion's own.
     */
    readonly pattern?: string;
    /** Fit the kept weights again, by least squares on the mask; for criteria that only choose a mask. Defaults to false. */
    readonly refit?: boolean;
    /**
     * What the treated linears aim at: `own`, their own output on their real input, or `stream`, the dense model's, which also
     * takes back what earlier blocks lost. `stream` needs a criterion with a Gram matrix. Defaults to `own`.
     */
    readonly target?: string;
    /** The shares α and γ of `target: 'stream'`, 0 to 1; searched on validation text where absent, else ½. */
    readonly targetShares?: Partial<Shares>;
    /** Text files (.txt, .jsonl, .jsonl.gz, .parquet), or `c4`, `wikitext2`, `ptb`. Validation chooses β; test is scored once, at the end. */
    readonly calibration?: string;
    readonly validation?: string;
    readonly test?: string;
    /** Exact trials the search may make besides uniform. Defaults to 6. */
    readonly maxTrials?: number;
    /** The texts that judge the plans of a search: `validation`, or `both` that and calibration text. Defaults to `validation`. */
    readonly judge?: string;
    /** Tokens of each greedy text whose first divergence from the dense model's is measured; 0 measures none. Defaults to 64. */
    readonly greedyTokens?: number;
    /** Continue a run that was interrupted. Defaults to false. */
    readonly resume?: boolean;
    /** Also pack the sparse checkpoint once it is complete. Defaults to no packing. */
    readonly pack?: PackingOptions | undefined;
    /** Upload the output to this repository on the Hub, `org/name`, with a model card. Defaults to no upload. */
    readonly push?: string;
    /** Whether a new repository is private. Defaults to the owner's setting. */
    readonly private?: boolean;
  };

/** Bits of every linear, and the columns that share a scale. */
export type UniformBits = { readonly bits: number; readonly group: number | 'row' };

/** The mean of bits over weights, and their common difference between blocks. */
export type Progression = UniformBits & { readonly beta: number | undefined };

export type RunSettings = { readonly device: Device; readonly threads: number; readonly onProgress: OnProgress };

export function normaliseRun(options: RunOptions): RunSettings {
  return {
    device: oneOf('device', options.device ?? DEFAULTS.device, DEVICES),
    threads: wholeNumber('threads', options.threads ?? availableParallelism(), 1, 1024),
    onProgress: options.onProgress ?? silent,
  };
}

/** The settings of prune, quantise and compress. */
export type PruneSettings = RunSettings &
  WindowingSettings &
  GradientSettings &
  HessianSettings &
  PrefixSettings &
  UnitSettings & {
    readonly command: 'prune' | 'quantise' | 'compress' | 'cut';
    /** The budget of compress. */
    readonly compress?: {
      readonly kind: string;
      readonly value: number;
      /** Where the value is a speed: that of so many threads. */
      readonly threads?: number;
      readonly zeros?: number;
      readonly allow: readonly string[];
      readonly head: string;
      readonly gguf: boolean;
    };
    /** The same bits for all linears; `plan` has them too, once the model is known. */
    readonly bits: UniformBits | undefined;
    /** Bits of each block by ATP’s progression; β is searched where there is none. */
    readonly progression?: Progression;
    readonly checkpoint: string;
    readonly out: string;
    readonly sparsity: number | undefined;
    /** Of a run over both trunks, each with a sparsity of its own. */
    readonly towers?: TowerSparsity;
    /** Of a run over both trunks with one sparsity together. */
    readonly towerBudget?: 'joint';
    readonly policy: AllocationPolicy;
    /** The given hyperparameters of the policy. */
    readonly values: Values;
    readonly budget: Counting;
    readonly plan: Plan | undefined;
    /** Whether open hyperparameters are searched by validation loss. */
    readonly searches: boolean;
    /** Whether open hyperparameters are chosen by the misalignment of activations. */
    readonly aligns: boolean;
    readonly criterion: Operator;
    /** Where weights compete; without effect where the plan has no zeros. */
    readonly pattern: Pattern;
    readonly target: TargetSettings;
    readonly calibration: string | undefined;
    readonly validation: string | undefined;
    readonly test: string | undefined;
    /** Zero-shot tasks that the finished models are scored on. */
    readonly tasks: TaskSettings | undefined;
    readonly maxTrials: number;
    readonly judge: Judge;
    readonly greedyTokens: number;
    readonly resume: boolean;
    readonly push: PushTarget | undefined;
    /** Where trials are handed out to; undefined: they are done here. */
    readonly queue: QueueSettings | undefined;
  };

/** Completes the options and checks all that needs no file. @throws OptionError E_OPTION_… */
export function normalisePrune(given: PruneOptions): PruneSettings {
  const options = withCalibrationImages(given);
  const plan = options.plan && validatePlan(options.plan, '--plan');
  const policy = findPolicy(options.allocation ?? DEFAULTS.allocation);
  if (plan === undefined && options.sparsity === undefined) {
    throw new OptionError('E_OPTION_SPARSITY', 'Expected --sparsity (such as 0.7) or --plan; neither was given.', {
      option: 'sparsity',
    });
  }
  if (plan !== undefined) {
    for (const option of ['sparsity', 'beta', 'hyperparameters', 'allocation'] as const) {
      if (options[option] !== undefined) conflict(option, 'plan', 'a plan already says how sparse each block is');
    }
  }
  if (options.sparsity !== undefined) validateTarget(options.sparsity);
  const named = findCriterion(options.criterion ?? DEFAULTS.criterion);
  const criterion = options.refit ? refitCriterion(named) : named;
  if (criterion.needs.length > 0 && options.calibration === undefined) {
    throw new OptionError(
      'E_OPTION_CALIBRATION',
      `--calibration: expected a text file, because the criterion ${criterion.name} needs activations. Pass one, or use --criterion magnitude.`,
      { option: 'calibration' },
    );
  }
  const pattern = patternOf(criterion, options.pattern);
  checkFixedPattern(pattern, options, policy);
  const values = givenValues(options);
  const open = plan === undefined ? openHyperparameters(policy, values) : [];
  const aligns = open.length > 0 && policy.candidates !== undefined;
  const searches = plan === undefined && hasSearch(policy, values) && !aligns;
  if (searches && options.validation === undefined) {
    throw new OptionError(
      'E_OPTION_VALIDATION',
      open.length === 0
        ? `--validation: expected a text file, because the allocation ${policy.name} is searched on validation text. Pass one, or use another --allocation.`
        : `--validation: expected a text file, because ${describeOpen(open)} of ${policy.name} without a default, searched on validation text. Pass one, or fix ${fixOpen(open)}.`,
      { option: 'validation', policy: policy.name },
    );
  }
  const judge = oneOf('judge', options.judge ?? DEFAULTS.judge, JUDGES);
  if (searches && judge === 'both' && options.calibration === undefined) {
    throw new OptionError(
      'E_OPTION_CALIBRATION',
      '--calibration: expected a text file, because --judge both chooses by calibration text too. Pass one, or use --judge validation.',
      { option: 'calibration' },
    );
  }
  const texts = [options.calibration, options.validation];
  // Measures beyond the dense pass can use either text.
  const beyond = aligns || policy.needs.some((name) => !collectable([name]).includes(name));
  if (plan === undefined && beyond && texts.every((text) => text === undefined)) {
    throw new OptionError(
      'E_OPTION_CALIBRATION',
      `--calibration: expected a text file, because the allocation ${policy.name} is measured on text. Pass one, or use another --allocation.`,
      { option: 'calibration', policy: policy.name },
    );
  }
  const target = normaliseTarget(options, criterion);
  return {
    ...normaliseRun(options),
    command: 'prune',
    bits: undefined,
    checkpoint: options.checkpoint,
    out: options.out,
    sparsity: options.sparsity,
    policy,
    values,
    budget: oneOf('budget', options.budget ?? plan?.budget?.counting ?? DEFAULTS.budget, COUNTINGS),
    plan,
    searches,
    aligns,
    criterion,
    pattern,
    target,
    ...normalisePrefix(options, { criterion, target, aligns }),
    ...normaliseUnit(options, { plan, policy }),
    hessian: normaliseHessian(options, criterion),
    gradient: normaliseGradient(options, plan ? [] : policy.needs, plan ? 'plan' : 'allocation'),
    calibration:
      criterion.needs.length > 0 || policy.needs.length > 0 || aligns || (searches && judge === 'both')
        ? options.calibration
        : undefined,
    validation: options.validation,
    test: options.test,
    tasks: normaliseTasks(options),
    ...normaliseWindowing(options),
    maxTrials: wholeNumber('max-trials', options.maxTrials ?? DEFAULTS.maxTrials, 1, 1000),
    judge,
    greedyTokens: normaliseGreedy(options.greedyTokens),
    resume: options.resume ?? false,
    push: pushTarget(options),
    queue: normaliseQueue(options),
  };
}

/** @throws OptionError E_OPTION_PRIVATE */
export function pushTarget({ push, private: hidden = false }: PruneOptions): PushTarget | undefined {
  if (push !== undefined) return { repo: push, private: hidden };
  if (!hidden) return undefined;
  throw new OptionError('E_OPTION_PRIVATE', '--private only applies together with --push.', { option: 'private' });
}

/** @throws OptionError E_OPTION_GREEDY_TOKENS */
export const normaliseGreedy = (tokens: number = DEFAULTS.greedyTokens): number =>
  wholeNumber('greedy-tokens', tokens, 0, 4096);

export const normaliseLength = (length: number | undefined): number | undefined =>
  length === undefined ? undefined : wholeNumber('sequence-length', length, 2, 1 << 20);

export const normaliseStart = (start: string | undefined): WindowStart | undefined =>
  start === undefined ? undefined : oneOf('window-start', start, WINDOW_STARTS);

/** The longest default window, as in the published protocol; attention makes longer ones expensive. */
const LONGEST_DEFAULT = 2048;

/** The window length for a model. @throws OptionError E_OPTION_SEQUENCE_LENGTH beyond the model's positions. */
export function windowLength(
  { config }: { readonly config: Pick<ModelConfig, 'maxPositions'> },
  asked: number | undefined,
): number {
  const { maxPositions: limit } = config;
  const length = asked ?? Math.min(limit, LONGEST_DEFAULT);
  if (length > limit) {
    throw new OptionError(
      'E_OPTION_SEQUENCE_LENGTH',
      `--sequence-length: expected at most ${limit} (max_position_embeddings in config.json), got ${length}.`,
      { option: 'sequence-length', got: length, limit },
    );
  }
  return length;
}

/** The given hyperparameters. @throws OptionError E_OPTION_CONFLICT if β is given twice */
export function givenValues({ beta, hyperparameters = {} }: Partial<PlanOptions>): Values {
  if (beta === undefined) return hyperparameters;
  if (hyperparameters.beta !== undefined) conflict('beta', 'hyperparameters', 'both give beta');
  return { ...hyperparameters, beta };
}

type Named = { readonly name: string };

/** `beta is a hyperparameter`, `line and gain are hyperparameters`. */
const describeOpen = (open: readonly Named[]): string =>
  `${open.map(({ name }) => name).join(' and ')} ${open.length === 1 ? 'is a hyperparameter' : 'are hyperparameters'}`;

/** How to fix the numbers that are open: `it with --hyperparameters beta=<number>`. */
export const fixOpen = (open: readonly Named[]): string =>
  `${open.length === 1 ? 'it' : 'them'} with --hyperparameters ${open.map(({ name }) => `${name}=<number>`).join()}`;

/** Where weights compete. @throws OptionError E_OPTION_PATTERN; E_OPTION_CONFLICT if the criterion does not support it */
export function patternOf(criterion: Operator, asked: string | undefined, option = 'criterion'): Pattern {
  const [own] = criterion.patterns;
  if (own === undefined && asked !== undefined) conflict('pattern', option, `${criterion.name} makes no zeros`);
  const pattern = parsePattern(asked ?? own ?? 'row');
  if (own === undefined || criterion.patterns.includes(pattern.kind)) return pattern;
  return conflict('pattern', option, `${criterion.name} lets weights compete by ${criterion.patterns.join(' or ')}`);
}

/** The rate of every linear under a fixed N:M; undefined for other patterns. */
const fixedRate = (pattern: Pattern): number | undefined =>
  pattern.kind === 'n:m' && pattern.kept !== undefined ? 1 - pattern.kept / pattern.of : undefined;

const isRate = (asked: number, rate: number): boolean => Math.abs(asked - rate) < 1e-9;

/** A fixed N:M prunes the same share of every linear; checks that target and policy agree. @throws OptionError E_OPTION_… */
function checkFixedPattern(pattern: Pattern, { sparsity, plan }: PruneOptions, policy: AllocationPolicy): void {
  const rate = fixedRate(pattern);
  if (rate === undefined || plan !== undefined) return;
  if (!isRate(sparsity!, rate)) {
    throw new OptionError(
      'E_OPTION_SPARSITY',
      `--sparsity: expected ${rate}, which is what --pattern ${formatPattern(pattern)} (kept:of) prunes, got ${sparsity}.`,
      { option: 'sparsity', expected: rate, got: sparsity },
    );
  }
  if (policy.name !== 'uniform') conflict('pattern', 'allocation', fixedPatternHint(pattern, '--allocation uniform'));
}

const fixedPatternHint = (pattern: Pattern, instead: string): string =>
  `${formatPattern(pattern)} keeps the same share of every linear. Use ${instead}, or a mixed pattern such as n:8`;

/** Checks the settings that depend on the model's headers: ranges of hyperparameters, the plan's blocks and linears. */
export function checkAgainstModel(settings: PruneSettings, model: Model): void {
  const { plan, policy, values, sparsity, criterion, pattern } = settings;
  if (settings.queue) requireTextModel(model);
  if (settings.hessian === 'loss') requireNoExperts(model);
  checkImages(settings, model);
  checkUnit(settings, model);
  const uneven =
    criterion.evenGroups && pattern.kind === 'n:m'
      ? model.linears.flat().find(({ columns }) => columns % pattern.of !== 0)
      : undefined;
  if (uneven && pattern.kind === 'n:m') {
    const instead = criterion.makes.includes('bits')
      ? 'another pattern'
      : 'the criterion wanda or ria, or another pattern';
    throw new OptionError(
      'E_OPTION_PATTERN',
      `--pattern: with ${criterion.name}, ${pattern.of} must divide the columns of every linear; ${uneven.name} has ${uneven.columns}. Use ${instead}.`,
      { option: 'pattern', linear: uneven.name, columns: uneven.columns },
    );
  }
  if (plan === undefined) validateValues(policy, values, sparsity!, factsOf(model, settings.unit));
  if (plan === undefined) return;
  checkPlan(plan, settings, model);
  if (criterion.makes.includes('bits')) checkBits(plan, settings, model);
  const rate = fixedRate(pattern);
  if (rate === undefined || linearUnits(model).every((unit) => isRate(zeroRate(plan, unit), rate))) return;
  conflict('pattern', 'plan', fixedPatternHint(pattern, `a plan of ${rate} everywhere`));
}
