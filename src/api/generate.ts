// Generates one text from one prompt.

import { type Generated, generateText } from '../generation/index.js';
import { realNumber, wholeNumber } from '../runs/index.js';
import { normaliseOpening, type OpeningOptions, openModelForText } from './open-packed.js';

export type GenerateOptions = OpeningOptions & {
  /** Defaults to an empty prompt: the text begins with the model's BOS token. */
  readonly prompt?: string;
  /** The most tokens. Defaults to 200, or fewer if the model has fewer positions. */
  readonly maxTokens?: number;
  /** 0 is greedy. Defaults to 0.8. */
  readonly temperature?: number;
  /** Share of the likeliest tokens' mass to draw from. Defaults to 0.95. */
  readonly topP?: number;
  /** Number of likeliest tokens to draw from. Defaults to all. */
  readonly topK?: number;
  /** Defaults to 0. */
  readonly seed?: number;
  readonly signal?: AbortSignal;
  /** Receives the text as it is generated. */
  readonly onText?: (text: string) => void;
};

export type GenerateResult = Generated & { readonly prompt: string; readonly seed: number };

/** Generates one text. @throws OptionError, CheckpointError, UnsupportedError, ResourceError, each with a stable `code` */
export async function generate(options: GenerateOptions): Promise<GenerateResult> {
  const { maxTokens, prompt = '', onText, signal } = options;
  const opening = normaliseOpening(options);
  const sampling = {
    temperature: realNumber('temperature', options.temperature ?? 0.8, 0, 100),
    topP: realNumber('top-p', options.topP ?? 0.95, 0, 1),
    topK: options.topK === undefined ? undefined : wholeNumber('top-k', options.topK, 1, 2 ** 31),
    seed: wholeNumber('seed', options.seed ?? 0, 0, 2 ** 32 - 1),
  };
  if (maxTokens !== undefined) wholeNumber('max-tokens', maxTokens, 1, 1 << 24);
  const model = await openModelForText(options.model, opening, 1);
  try {
    const request = { prompt, maxTokens, sampling, signal, ...(onText ? { onText } : {}) };
    return { ...(await generateText(model, request)), prompt, seed: sampling.seed };
  } finally {
    await model.close();
  }
}
