// Turns texts into windows of tokens and checks them against the model's vocabulary, before any weight is read.

import { cacheFolder, type OnProgress } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { createOrtEngine } from '../engine/index.js';
import type { TextRole } from '../hub/index.js';
import type { Model } from '../model/index.js';
import type { ManifestText } from '../records/index.js';
import {
  checkVocabulary,
  loadTokenizer,
  makeWindows,
  startTokenOf,
  type Tokenizer,
  tokenizeCorpus,
  type WindowStart,
  type Windows,
} from '../text/index.js';
import { type PruneSettings, type RunSettings, windowLength } from './settings.js';
import { readText } from './source.js';

export type WindowRequest = {
  /** A path, or the name of a data set. */
  readonly path: string;
  readonly role: TextRole;
  readonly length: number;
  readonly order: 'all' | 'random' | 'sequential';
  readonly count?: number;
  /** What windows begin with. Undefined: as the tokenizer's texts do. */
  readonly start: WindowStart | undefined;
  readonly seed: number;
  readonly onProgress: OnProgress;
};

export type PreparedText = { readonly content: Windows; readonly record: ManifestText };

/** Reads, tokenises and cuts one text. @throws as `readText`; CheckpointError E_TEXT_…, OptionError E_OPTION_TEXT_…, ResourceError */
export async function prepareText(
  model: { readonly config: { readonly vocabulary: number } },
  tokenizer: Tokenizer,
  request: WindowRequest,
): Promise<PreparedText> {
  const { path, role, length, order, count, seed, onProgress } = request;
  const start = startTokenOf(tokenizer, request.start);
  const { corpus, name } = await readText(path, role, onProgress);
  // Where each window has its own start, the text has none: its special tokens would stand in the first and the last alone.
  const tokens = await tokenizeCorpus(tokenizer, corpus, {
    cacheDir: cacheFolder('tokens'),
    specialTokens: start === undefined,
  });
  const windows = makeWindows(tokens, { length, order, start, seed, ...(count === undefined ? {} : { count }) });
  checkVocabulary(windows, model.config.vocabulary);
  const record = {
    name,
    hash: corpus.hash,
    tokens: tokens.length,
    windows: windows.windows.length,
    length,
    order,
    bos: start ?? null,
  };
  return { content: windows, record };
}

export type PreparedTexts = {
  readonly calibration: PreparedText | undefined;
  readonly validation: PreparedText | undefined;
  readonly test: PreparedText | undefined;
};

export type TextSettings = Pick<
  PruneSettings,
  | 'calibration'
  | 'validation'
  | 'test'
  | 'calibrationSamples'
  | 'calibrationOrder'
  | 'sequenceLength'
  | 'windowStart'
  | 'seed'
  | 'onProgress'
>;

/** Reads and cuts all texts of a run. @throws as `prepareText` */
export async function prepareTexts(settings: TextSettings, model: Model): Promise<PreparedTexts> {
  const { calibration, validation, test, windowStart: start, seed, onProgress } = settings;
  if (!calibration && !validation && !test) return { calibration: undefined, validation: undefined, test: undefined };
  onProgress({ kind: 'stage', stage: 'reading texts' });
  const length = windowLength(model, settings.sequenceLength);
  const tokenizer = await loadTokenizer(model.checkpoint.dir, onProgress);
  const whole = (path: string | undefined, role: TextRole) =>
    path === undefined
      ? undefined
      : prepareText(model, tokenizer, { path, role, length, order: 'all', start, seed, onProgress });
  return {
    calibration:
      calibration === undefined
        ? undefined
        : await prepareText(model, tokenizer, {
            path: calibration,
            role: 'calibration',
            length,
            order: settings.calibrationOrder,
            count: settings.calibrationSamples,
            start,
            seed,
            onProgress,
          }),
    validation: await whole(validation, 'validation'),
    test: await whole(test, 'test'),
  };
}

/**
 * Blocks up to this many weights run on several single-threaded workers in parallel. Larger blocks run on one worker with
 * all threads, so their weights are in memory once. On two cores both are equally fast (docs/lab/performance.md).
 */
const SMALL_BLOCK = 4_000_000;

/** The engine for a model. */
export function openEngine(model: Model, { device, threads }: RunSettings): Promise<Engine> {
  const small = device === 'cpu' && model.blockWeights <= SMALL_BLOCK;
  return createOrtEngine(small ? { device, workers: threads, threads: 1 } : { device, workers: 1, threads });
}
