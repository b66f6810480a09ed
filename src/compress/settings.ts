// The options of compress, completed and checked before any weight is read.

import { OptionError } from '../base/index.js';
import { findQuantiser } from '../operators/index.js';
import { HEADS, type HeadValues } from '../packed/index.js';
import { findPolicy } from '../plan/index.js';
import type { Treatment } from '../records/index.js';
import {
  DEFAULTS,
  normaliseGreedy,
  normaliseRun,
  normaliseTarget,
  normaliseTasks,
  normaliseWindowing,
  oneOf,
  type PruneSettings,
  patternOf,
  type RunOptions,
  realNumber,
  type Shares,
  type TaskOptions,
  type WindowingOptions,
  wholeNumber,
} from '../runs/index.js';
import type { CompressBudget } from './costs.js';

/** What may be done to weights. */
export const ALLOWED = ['bits', 'zeros'] as const;

export type CompressOptions = RunOptions &
  WindowingOptions &
  TaskOptions & {
    /** Directory of a Hugging Face checkpoint, a .gguf file, or its name on the Hub: `org/name`, `org/name@revision`. */
    readonly checkpoint: string;
    /** Directory to write, or a `.lw` file; must not exist. */
    readonly out: string;
    /** Exactly one of three: bits per weight of the linears with their scales, bytes of the packed file, tokens per second. */
    readonly bits?: number;
    readonly size?: number;
    readonly tokensPerSecond?: number;
    /** What may be done to weights: `bits`, `zeros` (8 of 16, with bits). Defaults to `bits`. */
    readonly allow?: readonly string[];
    /** Values of the embeddings and the LM head in the packed file: `int8`, `int4` or `f32`. Defaults to `int8`. */
    readonly head?: string;
    readonly calibration?: string;
    readonly validation?: string;
    readonly test?: string;
    /** `own` or `stream`, as in prune. Defaults to `stream`. */
    readonly target?: string;
    /** The shares α and γ of `target: 'stream'`; searched on validation text where absent, else ½. */
    readonly targetShares?: Partial<Shares>;
    /** A table of sensitivities that an earlier run wrote (`sensitivities.json`), instead of measuring. */
    readonly sensitivities?: string;
    /** Exact trials the search may make. Defaults to 6. */
    readonly maxTrials?: number;
    /** Tokens of each greedy text whose first divergence from the dense model's is measured; 0 measures none. Defaults to 64. */
    readonly greedyTokens?: number;
    /** Continue a run that was interrupted. Defaults to false. */
    readonly resume?: boolean;
    /** Check everything, say what would be done, and stop. Defaults to false. */
    readonly dryRun?: boolean;
  };

export type CompressSettings = {
  readonly compress: CompressBudget & { readonly allow: readonly string[]; readonly head: HeadValues };
  readonly treatments: readonly Treatment[];
  readonly sensitivities: string | undefined;
};

const GROUP = 128;
/** The widths that linears may get. */
const WIDTHS = [2, 3, 4, 8] as const;
/** Widths that zeros go with, and their pattern. */
const SPARSE_WIDTHS = [3, 4] as const;
const SPARSE = { rate: 0.5, pattern: '8:16' } as const;

/** @throws OptionError E_OPTION_… */
export function normaliseCompress(options: CompressOptions): PruneSettings & CompressSettings {
  const run = normaliseRun(options);
  const budget = budgetOf(options, run.threads);
  const allow = (options.allow ?? ['bits']).map((one) => oneOf('allow', one, ALLOWED));
  if (!allow.includes('bits')) {
    throw new OptionError(
      'E_OPTION_ALLOW',
      `--allow: expected bits among ${allow.join(', ')}; for zeros alone use layerwise prune.`,
      { option: 'allow', got: allow },
    );
  }
  if (options.calibration === undefined) {
    throw new OptionError(
      'E_OPTION_CALIBRATION',
      '--calibration: expected a text file: weights are rounded, and their sensitivity is measured, on text. Pass one, such as c4.',
      { option: 'calibration' },
    );
  }
  const method = findQuantiser('gptq');
  const dense = WIDTHS.map((bits): Treatment => ({ bits: { bits, group: GROUP } }));
  const sparse = SPARSE_WIDTHS.map((bits): Treatment => ({ bits: { bits, group: GROUP }, zeros: SPARSE }));
  return {
    ...run,
    command: 'compress',
    bits: undefined,
    checkpoint: options.checkpoint,
    out: options.out,
    sparsity: undefined,
    policy: findPolicy('uniform'),
    values: {},
    budget: DEFAULTS.budget,
    plan: undefined,
    searches: false,
    aligns: false,
    criterion: method,
    pattern: patternOf(method, allow.includes('zeros') ? SPARSE.pattern : undefined, 'allow'),
    target: normaliseTarget({ ...options, target: options.target ?? 'stream' }, method),
    calibration: options.calibration,
    validation: options.validation,
    test: options.test,
    tasks: normaliseTasks(options),
    ...normaliseWindowing(options),
    maxTrials: wholeNumber('max-trials', options.maxTrials ?? DEFAULTS.maxTrials, 1, 1000),
    judge: 'divergence',
    greedyTokens: normaliseGreedy(options.greedyTokens),
    resume: options.resume ?? false,
    push: undefined,
    compress: { ...budget, allow, head: oneOf('head', options.head ?? 'int8', HEADS) },
    treatments: allow.includes('zeros') ? [...dense, ...sparse] : dense,
    sensitivities: options.sensitivities,
  };
}

/** @throws OptionError E_OPTION_BITS, E_OPTION_SIZE, E_OPTION_TOKENS_PER_SECOND, E_OPTION_CONFLICT */
function budgetOf({ bits, size, tokensPerSecond }: CompressOptions, threads: number): CompressBudget {
  const given = Object.entries({ bits, size, 'tokens-per-second': tokensPerSecond }).filter(
    (entry): entry is [CompressBudget['kind'], number] => entry[1] !== undefined,
  );
  const [first, second] = given;
  if (!first || second) {
    const got = second ? given.map(([name]) => `--${name}`).join(' and ') : 'none';
    throw new OptionError(
      'E_OPTION_BITS',
      `Expected one budget: --bits (such as 3.5), --size (such as 80MB) or --tokens-per-second; got ${got}.`,
      { option: 'bits', got },
    );
  }
  const [kind, value] = first;
  if (kind === 'bits') return { kind, value: realNumber('bits', value, 2, 16) };
  if (kind === 'size') return { kind, value: realNumber(kind, value, 1, Number.MAX_SAFE_INTEGER) };
  // The speed is that of so many threads, so the result depends on them.
  return { kind, value: realNumber(kind, value, 1e-6, Number.MAX_SAFE_INTEGER), threads };
}
