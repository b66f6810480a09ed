// The options of compress, completed and checked before any weight is read.

import { OptionError } from '../base/index.js';
import { findCriterion, findQuantiser } from '../operators/index.js';
import { HEADS, type HeadValues } from '../packed/index.js';
import { findPolicy } from '../plan/index.js';
import {
  conflict,
  DEFAULTS,
  normaliseGreedy,
  normaliseQueue,
  normaliseRun,
  normaliseTarget,
  normaliseTasks,
  normaliseWindowing,
  oneOf,
  type PruneSettings,
  patternOf,
  type QueueOptions,
  type RunOptions,
  realNumber,
  type Shares,
  type TaskOptions,
  type WindowingOptions,
  wholeNumber,
} from '../runs/index.js';
import type { CompressBudget } from './costs.js';
import type { Item, Measured } from './table.js';

/** What may be done to weights. */
export const ALLOWED = ['bits', 'zeros', 'drop'] as const;

export type CompressOptions = RunOptions &
  QueueOptions &
  WindowingOptions &
  TaskOptions & {
    /** Directory of a Hugging Face checkpoint, a .gguf file, or its name on the Hub: `org/name`, `org/name@revision`. */
    readonly checkpoint: string;
    /** Directory to write, or a `.lw` or `.gguf` file; must not exist. */
    readonly out: string;
    /** At most one of three: bits per weight of the linears with their scales, bytes of the file, tokens per second. */
    readonly bits?: number;
    readonly size?: number;
    readonly tokensPerSecond?: number;
    /** The share of the linears' weights that becomes zero: alone, or at least, beside one of the three. */
    readonly zeros?: number;
    /**
     * What may be done: `bits`, `zeros` (with 4 bits, 8 or 10 of 16) and `drop` (leave out whole blocks). Defaults to `bits`, and
     * `zeros` where a share of them is given.
     */
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
  readonly compress: CompressBudget & {
    /** The share of zeros beside another budget. */
    readonly zeros?: number;
    readonly allow: readonly string[];
    readonly head: HeadValues;
    /** The output is a GGUF file. */
    readonly gguf: boolean;
  };
  /** What a unit may get; null leaves it as it is. */
  readonly items: readonly Item[];
  /** Whether whole blocks may go. */
  readonly drops: boolean;
  readonly sensitivities: string | undefined;
};

const GROUP = 128;
/** The widths that linears may get. */
const WIDTHS = [2, 3, 4, 8] as const;
/** Zeros of the one layout in which they save bytes: masks, and 4 bits. Each linear has its own rate. */
const SPARSE = { bits: 4, pattern: 'n:16', rates: [0.5, 0.625] } as const;
/** Of zeros alone: weights of all rows compete within 128 columns. */
const RATES = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] as const;
const MOST_ZEROS = 0.9;
/** GGUF has a scale for 32 weights; there are types for our integers of up to 4 bits, and of 8. */
const GGUF_ITEMS: readonly Item[] = [{ bits: { bits: 4, group: 32 } }, { bits: { bits: 8, group: GROUP } }];

const DENSE_ITEMS: readonly Item[] = WIDTHS.map((bits) => ({ bits: { bits, group: GROUP } }));
const SPARSE_ITEMS: readonly Item[] = SPARSE.rates.map((rate) => ({
  bits: { bits: SPARSE.bits, group: GROUP },
  zeros: { rate, pattern: SPARSE.pattern },
}));
const ZEROS_ITEMS: readonly Item[] = [null, ...RATES.map((rate) => ({ zeros: { rate, pattern: 'columns' } }))];

/** What tables are measured of, by the words of `layerwise profile --treatments`. */
export const TREATMENTS = ['bits', 'zeros', 'drop', 'gguf'] as const;

/** What `compress` would measure with the same words in --allow, or for a .gguf file. @throws OptionError E_OPTION_TREATMENTS */
export function measuredOf(asked: readonly string[]): Measured {
  const some = TREATMENTS.filter((name) => asked.map((one) => oneOf('treatments', one, TREATMENTS)).includes(name));
  const drops = some.includes('drop');
  const refuse = (expected: string): never => {
    throw new OptionError('E_OPTION_TREATMENTS', `--treatments: expected ${expected}, got ${some.join(', ')}.`, {
      option: 'treatments',
      got: some,
    });
  };
  if (some.includes('gguf')) {
    if (some.includes('bits') || some.includes('zeros')) refuse('gguf without bits and zeros: they are other tables');
    return { operator: 'gptq', items: GGUF_ITEMS, drops };
  }
  if (some.includes('bits')) {
    return { operator: 'gptq', items: some.includes('zeros') ? [...DENSE_ITEMS, ...SPARSE_ITEMS] : DENSE_ITEMS, drops };
  }
  if (drops || some.length === 0) refuse('bits, zeros or gguf among them');
  return { operator: 'sparsegpt', items: ZEROS_ITEMS, drops };
}

/** @throws OptionError E_OPTION_… */
export function normaliseCompress(options: CompressOptions): PruneSettings & CompressSettings {
  const run = normaliseRun(options);
  const budget = budgetOf(options, run.threads);
  const alone = budget.kind === 'zeros';
  const zeros = alone || options.zeros === undefined ? undefined : shareOf(options.zeros);
  const gguf = options.out.endsWith('.gguf');
  const allow = allowed(options, budget);
  checkForm(options.out, budget, allow);
  if (options.calibration === undefined) {
    throw new OptionError(
      'E_OPTION_CALIBRATION',
      '--calibration: expected a text file: weights are rounded, and their sensitivity is measured, on text. Pass one, such as c4.',
      { option: 'calibration' },
    );
  }
  const method = alone ? findCriterion('sparsegpt') : findQuantiser('gptq');
  const sparse = !alone && allow.includes('zeros');
  return {
    ...run,
    command: 'compress',
    bits: undefined,
    checkpoint: options.checkpoint,
    out: options.out,
    sparsity: alone ? budget.value : undefined,
    policy: findPolicy('uniform'),
    values: {},
    budget: DEFAULTS.budget,
    plan: undefined,
    searches: false,
    aligns: false,
    criterion: method,
    pattern: patternOf(method, sparse ? SPARSE.pattern : undefined, 'allow'),
    ...{ gradient: DEFAULTS.gradient, hessian: DEFAULTS.hessian },
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
    queue: normaliseQueue(options),
    compress: {
      ...budget,
      ...(zeros === undefined ? {} : { zeros }),
      ...{ allow, head: oneOf('head', options.head ?? 'int8', HEADS), gguf },
    },
    items: alone ? ZEROS_ITEMS : gguf ? GGUF_ITEMS : sparse ? [...DENSE_ITEMS, ...SPARSE_ITEMS] : DENSE_ITEMS,
    drops: allow.includes('drop'),
    sensitivities: options.sensitivities,
  };
}

const shareOf = (zeros: number): number => realNumber('zeros', zeros, 0.001, MOST_ZEROS);

/** What may be done. @throws OptionError E_OPTION_ALLOW, E_OPTION_CONFLICT */
function allowed({ allow, zeros }: CompressOptions, { kind }: CompressBudget): readonly string[] {
  const alone = kind === 'zeros';
  const asked = allow ?? (alone ? ['zeros'] : zeros === undefined ? ['bits'] : ['bits', 'zeros']);
  const some = ALLOWED.filter((name) => asked.map((one) => oneOf('allow', one, ALLOWED)).includes(name));
  const refuse = (expected: string): never => {
    throw new OptionError('E_OPTION_ALLOW', `--allow: expected ${expected}, got ${some.join(', ')}.`, {
      option: 'allow',
      got: some,
    });
  };
  if (alone && some.join() !== 'zeros') {
    refuse('zeros alone, because --zeros is the only budget; to have bits or drop too, give --bits or --size as well');
  }
  if (!alone && !some.includes('bits')) {
    refuse('bits among them; for zeros alone give --zeros 0.5 without another budget, or use layerwise prune');
  }
  if (!alone && zeros !== undefined && !some.includes('zeros')) refuse('zeros among them, because --zeros is given');
  if (zeros !== undefined && some.includes('drop')) {
    refuse('no drop beside --zeros: the weights of a block that is left out are no zeros. Leave out one of the two');
  }
  return some;
}

/** Whether the output can hold what was asked for. @throws OptionError E_OPTION_OUT, E_OPTION_ALLOW, E_OPTION_CONFLICT */
function checkForm(out: string, { kind }: CompressBudget, allow: readonly string[]): void {
  const file = /\.(lw|gguf)$/.exec(out)?.[1];
  if (file && kind === 'zeros') {
    throw new OptionError(
      'E_OPTION_OUT',
      `--out: with --zeros alone weights keep their dtype, and a .${file} file would round them. Write a directory and ${file === 'lw' ? 'pack' : 'export'} it in the width you want, or give --bits too.`,
      { option: 'out', got: out },
    );
  }
  if (file !== 'gguf') return;
  if (allow.includes('zeros')) {
    throw new OptionError(
      'E_OPTION_ALLOW',
      '--allow: expected no zeros for a .gguf file, in which a zero takes as much as any weight. Leave zeros out, or write a .lw file.',
      { option: 'allow', got: allow },
    );
  }
  if (kind === 'tokens-per-second') {
    conflict('tokens-per-second', 'out', 'the speed is estimated for a .lw file, and llama.cpp has other kernels');
  }
}

/** @throws OptionError E_OPTION_BITS, E_OPTION_SIZE, E_OPTION_TOKENS_PER_SECOND, E_OPTION_CONFLICT */
function budgetOf({ bits, size, tokensPerSecond, zeros }: CompressOptions, threads: number): CompressBudget {
  const given = Object.entries({ bits, size, 'tokens-per-second': tokensPerSecond }).filter(
    (entry): entry is ['bits' | 'size' | 'tokens-per-second', number] => entry[1] !== undefined,
  );
  const [first, second] = given;
  if (!first && zeros !== undefined) return { kind: 'zeros', value: shareOf(zeros) };
  if (!first || second) {
    const got = second ? given.map(([name]) => `--${name}`).join(' and ') : 'none';
    throw new OptionError(
      'E_OPTION_BITS',
      `Expected one budget: --bits (such as 3.5), --size (such as 80MB), --tokens-per-second or --zeros (such as 0.5); got ${got}.`,
      { option: 'bits', got },
    );
  }
  const [kind, value] = first;
  if (kind === 'bits') return { kind, value: realNumber('bits', value, 2, 16) };
  if (kind === 'size') return { kind, value: realNumber(kind, value, 1, Number.MAX_SAFE_INTEGER) };
  // The speed is that of so many threads, so the result depends on them.
  return { kind, value: realNumber(kind, value, 1e-6, Number.MAX_SAFE_INTEGER), threads };
}
