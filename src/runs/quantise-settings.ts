// The options of quantise, completed and checked before any weight is read.

import { OptionError } from '../base/index.js';
import { linearUnits, type Model } from '../model/index.js';
import { findQuantiser, GRID_BITS, GRID_GROUPS } from '../operators/index.js';
import { findPolicy } from '../plan/index.js';
import { blockId, type Plan, type Treatment, validatePlan } from '../records/index.js';
import { conflict, oneOf, realNumber, refuseMissing, refuseValue, wholeNumber } from './checks.js';
import { DEFAULTS } from './defaults.js';
import { type HessianOptions, normaliseHessian } from './gradient-options.js';
import { normaliseQueue, type QueueOptions } from './queue-options.js';
import {
  normaliseGreedy,
  normaliseRun,
  normaliseWindowing,
  type Progression,
  type PruneSettings,
  patternOf,
  type RunOptions,
  type UniformBits,
  type WindowingOptions,
} from './settings.js';
import { normaliseTarget, openShares, type Shares } from './stream-shares.js';
import { normaliseTasks, type TaskOptions } from './task-options.js';

export type QuantiseOptions = RunOptions &
  WindowingOptions &
  TaskOptions &
  HessianOptions &
  QueueOptions & {
    /** Directory of a Hugging Face checkpoint, or its name on the Hub: `org/name`, `org/name@revision`. */
    readonly checkpoint: string;
    /** Directory to write; must not exist. */
    readonly out: string;
    /** Bits of every weight of the blocks' linears: 2, 3, 4 or 8; with `allocation: 'progression'` their mean, from 2 to 8. */
    readonly bits?: number;
    /** Columns that share a scale: 32, 64, 128 or `row`. With 8 bits it is always the row. Defaults to 128. */
    readonly group?: number | 'row';
    /**
     * `uniform`: `bits` for all. `progression`: bits fall with depth by a common difference β, as sparsity rises in ATP. Defaults
     * to `uniform`.
     */
    readonly allocation?: string;
    /** With `progression`: bits between neighbouring blocks. Searched on validation text where absent. */
    readonly beta?: number;
    /** Exact trials that the search of β may make besides β = 0. Defaults to 6. */
    readonly maxTrials?: number;
    /** A plan with bits, and for `gptq` also zeros, instead of `bits`. */
    readonly plan?: Plan;
    /** `gptq`, `rtn` or `hqq`. Defaults to `gptq`. */
    readonly method?: string;
    /** Where weights compete, for a plan with zeros: `columns`, `2:4` and the like, or `n:4`, `n:8`, `n:16`, `n:32`. */
    readonly pattern?: string;
    /** What the treated linears aim at, `own` or `stream`, as in prune; only for `gptq`. Defaults to `own`. */
    readonly target?: string;
    /** The shares α and γ of `target: 'stream'`; searched on validation text where absent, else ½. */
    readonly targetShares?: Partial<Shares>;
    /** Text files (.txt, .jsonl, .jsonl.gz, .parquet), or `c4`, `wikitext2`, `ptb`. Only `gptq` needs calibration. */
    readonly calibration?: string;
    readonly validation?: string;
    readonly test?: string;
    /** Tokens of each greedy text whose first divergence from the dense model's is measured; 0 measures none. Defaults to 64. */
    readonly greedyTokens?: number;
    /** Continue a run that was interrupted. Defaults to false. */
    readonly resume?: boolean;
  };

/** Completes the options and checks all that needs no file. @throws OptionError E_OPTION_… */
export function normaliseQuantise(options: QuantiseOptions): PruneSettings {
  const plan = options.plan && validatePlan(options.plan, '--plan');
  const progression = progressionOf(options);
  const bits = progression ? undefined : bitsOf(options);
  const method = findQuantiser(options.method ?? DEFAULTS.quantiser);
  if (method.needs.length > 0 && options.calibration === undefined) {
    throw new OptionError(
      'E_OPTION_CALIBRATION',
      `--calibration: expected a text file, because the method ${method.name} needs activations. Pass one, or use --method rtn.`,
      { option: 'calibration' },
    );
  }
  if (options.pattern !== undefined && plan === undefined) {
    conflict('pattern', 'bits', 'it says where zeros go, which only a plan asks for');
  }
  const target = normaliseTarget(options, method);
  return {
    ...normaliseRun(options),
    command: 'quantise',
    bits,
    ...(progression ? { progression } : {}),
    checkpoint: options.checkpoint,
    out: options.out,
    sparsity: undefined,
    policy: findPolicy('uniform'),
    values: {},
    budget: plan?.budget?.counting ?? DEFAULTS.budget,
    plan,
    searches: false,
    aligns: false,
    criterion: method,
    pattern: patternOf(method, options.pattern, 'method'),
    target,
    gradient: DEFAULTS.gradient,
    hessian: normaliseHessian(options, method, 'Use --method gptq'),
    // Where no share is open there is nothing to choose.
    judge: target.kind === 'stream' && openShares(target) ? 'divergence' : DEFAULTS.judge,
    calibration: method.needs.length > 0 ? options.calibration : undefined,
    validation: options.validation,
    test: options.test,
    tasks: normaliseTasks(options),
    ...normaliseWindowing(options),
    maxTrials: wholeNumber('max-trials', options.maxTrials ?? DEFAULTS.maxTrials, 1, 1000),
    greedyTokens: normaliseGreedy(options.greedyTokens),
    resume: options.resume ?? false,
    push: undefined,
    queue: normaliseQueue(options),
  };
}

/** How bits are spread over blocks. */
export const BITS_ALLOCATIONS = ['uniform', 'progression'] as const;

/** ATP's progression, where it is asked for. @throws OptionError E_OPTION_… */
function progressionOf(options: QuantiseOptions): Progression | undefined {
  const { bits, group, plan, beta, maxTrials, validation } = options;
  const allocation = oneOf('allocation', options.allocation ?? 'uniform', BITS_ALLOCATIONS);
  if (allocation === 'uniform') {
    for (const [name, value] of [
      ['beta', beta],
      ['max-trials', maxTrials],
    ] as const) {
      if (value !== undefined) refuseValue(name, '--allocation progression beside it', value);
    }
    return undefined;
  }
  if (plan !== undefined) conflict('allocation', 'plan', 'a plan already says how many bits each linear has');
  const [least, most] = [Math.min(...GRID_BITS), Math.max(...GRID_BITS)];
  if (bits === undefined) refuseMissing('bits', `a mean from ${least} to ${most}, such as 3.5`);
  const mean = realNumber('bits', bits, least, most);
  if (beta === undefined && validation === undefined) {
    refuseMissing('validation', 'a text on which β is searched, or --beta');
  }
  return { bits: mean, group: groupOfRows(group ?? DEFAULTS.group), beta };
}

/** The same bits for all, undefined with a plan. @throws OptionError E_OPTION_BITS, E_OPTION_GROUP, E_OPTION_CONFLICT */
function bitsOf({ bits, group, plan }: QuantiseOptions): UniformBits | undefined {
  if (plan !== undefined) {
    if (bits !== undefined) conflict('bits', 'plan', 'a plan already says how many bits each linear has');
    if (group !== undefined) conflict('group', 'plan', 'a plan already says which columns share a scale');
    return undefined;
  }
  const known = GRID_BITS.join(', ');
  if (bits === undefined) {
    throw new OptionError('E_OPTION_BITS', `Expected --bits (${known}) or --plan; neither was given.`, {
      option: 'bits',
    });
  }
  if (!(GRID_BITS as readonly number[]).includes(bits)) {
    throw new OptionError(
      'E_OPTION_BITS',
      `--bits: expected one of ${known}, got ${bits}. A mean of several widths needs --allocation progression, or compress.`,
      {
        option: 'bits',
        expected: GRID_BITS,
        got: bits,
      },
    );
  }
  if (bits === 8 && group !== undefined && group !== 'row') {
    conflict('group', 'bits', '8 bits always have a scale per row; leave --group out');
  }
  const asked = group ?? (bits === 8 ? 'row' : DEFAULTS.group);
  return { bits, group: groupOfRows(asked) };
}

/** @throws OptionError E_OPTION_GROUP */
function groupOfRows(asked: number | 'row'): number | 'row' {
  if (asked === 'row' || (GRID_GROUPS as readonly number[]).includes(asked)) return asked;
  throw new OptionError('E_OPTION_GROUP', `--group: expected one of ${GRID_GROUPS.join(', ')}, row, got ${asked}.`, {
    option: 'group',
    expected: [...GRID_GROUPS, 'row'],
    got: asked,
  });
}

/** The settings with the plan of `bits` for this model. */
export function withUniformBits(settings: PruneSettings, model: Model): PruneSettings {
  if (!settings.bits) return settings;
  const { bits, group } = settings.bits;
  const units: Record<string, Treatment> = {};
  if (group === 'row') for (const { id, columns } of linearUnits(model)) units[id] = { bits: { bits, group: columns } };
  else for (let block = 0; block < model.config.blocks; block++) units[blockId(block)] = { bits: { bits, group } };
  const plan: Plan = { format: 'layerwise-plan', version: 2, units, from: { policy: 'uniform', values: {} } };
  return { ...settings, plan };
}
