// The options of heal, completed and checked before any weight is read.

import {
  normaliseGreedy,
  normaliseLength,
  normaliseRun,
  normaliseStart,
  oneOf,
  parseRange,
  type RunOptions,
  type RunSettings,
  realNumber,
  refuseMissing,
  refuseValue,
  type WindowingOptions,
  wholeNumber,
} from '../runs/index.js';
import type { WindowStart } from '../text/index.js';

export type HealOptions = RunOptions &
  Pick<WindowingOptions, 'sequenceLength' | 'windowStart' | 'seed'> & {
    /** Directory of a Hugging Face checkpoint that was pruned, quantised or shortened, or its name on the Hub. */
    readonly checkpoint: string;
    /** The original that it was made from. */
    readonly dense: string;
    /** Directory to write; must not exist. */
    readonly out: string;
    /** Text to train on (.txt, .jsonl, .jsonl.gz, .parquet), or `c4`, `wikitext2`, `ptb`. */
    readonly text: string;
    /** Text that decides when to stop and which state is kept. */
    readonly validation: string;
    /** Scored once, at the end. It does not influence anything. */
    readonly test?: string;
    /** `kept`, `lora`, `norms`, `new`, or `blocks 20..23`. Defaults to `kept`. */
    readonly train?: string;
    /** `stream`, `kl` or `nll`. Defaults to stream and then kl; with `new`, to kl. */
    readonly loss?: string;
    /** Tokens that each stage reads; the text is read again where it is shorter. Defaults to 500,000. */
    readonly tokens?: number;
    /** The highest learning rate. Defaults to 0.001 against the stream, and 0.0003 for the whole model. */
    readonly rate?: number;
    /** Tokens of a step, about. Defaults to 2,048. */
    readonly batch?: number;
    /** The rank of LoRA. Defaults to 8. */
    readonly rank?: number;
    /** With lora: write an adapter in the form of PEFT instead of a checkpoint. Defaults to false. */
    readonly adapter?: boolean;
    /** Tokens of each greedy text whose first divergence from the dense model's is measured; 0 measures none. Defaults to 64. */
    readonly greedyTokens?: number;
    /** Continue a run that was interrupted. Defaults to false. */
    readonly resume?: boolean;
  };

export const HEAL_DEFAULTS = {
  train: 'kept',
  tokens: 500_000,
  stream: 1e-3,
  whole: 3e-4,
  batch: 2048,
  rank: 8,
} as const;
export const LOSSES = ['stream', 'kl', 'nll'] as const;
export const TRAINED = ['kept', 'lora', 'norms', 'new'] as const;

export type Train =
  | { readonly kind: (typeof TRAINED)[number] }
  | { readonly kind: 'blocks'; readonly first: number; readonly last: number };

export type HealSettings = RunSettings & {
  readonly checkpoint: string;
  readonly dense: string;
  readonly out: string;
  readonly text: string;
  readonly validation: string;
  readonly test: string | undefined;
  readonly train: Train;
  /** The stages. */
  readonly stream: boolean;
  readonly whole: 'kl' | 'nll' | undefined;
  readonly tokens: number;
  readonly rates: { readonly stream: number; readonly whole: number };
  readonly batch: number;
  readonly rank: number;
  readonly adapter: boolean;
  readonly sequenceLength: number | undefined;
  readonly windowStart: WindowStart | undefined;
  readonly seed: number;
  readonly greedyTokens: number;
  readonly resume: boolean;
};

/** Completes the options and checks all that needs no file. @throws OptionError E_OPTION_… */
export function normaliseHeal(options: HealOptions): HealSettings {
  const { checkpoint, dense, out, text, validation, test } = options;
  if (dense === undefined) refuseMissing('dense', 'the checkpoint that this one was made from');
  if (text === undefined) refuseMissing('text', 'a text to train on');
  if (validation === undefined) refuseMissing('validation', 'a text that decides which state is kept');
  const train = parseTrain(options.train ?? HEAL_DEFAULTS.train);
  const loss = options.loss === undefined ? undefined : oneOf('loss', options.loss, LOSSES);
  if (train.kind === 'new' && loss === 'stream') {
    refuseValue(
      'loss',
      'kl or nll with --train new: the dense model has no stream for blocks that it has not',
      'stream',
    );
  }
  const lora = train.kind === 'lora';
  if (options.adapter && !lora) refuseValue('adapter', '--train lora beside it', options.train ?? HEAL_DEFAULTS.train);
  if (options.rank !== undefined && !lora)
    refuseValue('rank', '--train lora beside it', options.train ?? HEAL_DEFAULTS.train);
  const { rate } = options;
  if (rate !== undefined && !(rate > 0)) refuseValue('rate', 'a number above 0, at most 1', rate);
  const given = rate === undefined ? undefined : realNumber('rate', rate, 0, 1);
  return {
    ...normaliseRun(options),
    ...{ checkpoint, dense, out, text, validation, test, train },
    stream: loss === 'stream' || (loss === undefined && train.kind !== 'new'),
    whole: loss === 'stream' ? undefined : (loss ?? 'kl'),
    tokens: wholeNumber('tokens', options.tokens ?? HEAL_DEFAULTS.tokens, 1, 1e12),
    rates: { stream: given ?? HEAL_DEFAULTS.stream, whole: given ?? HEAL_DEFAULTS.whole },
    batch: wholeNumber('batch', options.batch ?? HEAL_DEFAULTS.batch, 1, 1e7),
    rank: wholeNumber('rank', options.rank ?? HEAL_DEFAULTS.rank, 1, 4096),
    adapter: options.adapter ?? false,
    sequenceLength: normaliseLength(options.sequenceLength),
    windowStart: normaliseStart(options.windowStart),
    seed: wholeNumber('seed', options.seed ?? 0, 0, 2 ** 32 - 1),
    greedyTokens: normaliseGreedy(options.greedyTokens),
    resume: options.resume ?? false,
  };
}

function parseTrain(text: string): Train {
  const known = TRAINED.find((name) => name === text);
  if (known) return { kind: known };
  const range = text.startsWith('blocks ') ? parseRange(text.slice('blocks '.length)) : undefined;
  if (range) return { kind: 'blocks', ...range };
  return refuseValue('train', `one of ${TRAINED.join(', ')} or "blocks 20..23"`, text);
}

export const formatTrain = (train: Train): string =>
  train.kind === 'blocks' ? `blocks ${train.first}..${train.last}` : train.kind;
