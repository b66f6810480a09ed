// One text from one prompt, as `layerwise generate` writes it, and its timings: reading the prompt and writing are measured
// separately, because they are limited by different things.

import { OptionError } from '../base/portable.js';
import { complete } from './completion.js';
import { encodePrompt, type OpenedDecoder } from './opened.js';
import type { Finish } from './request.js';
import type { Sampling } from './sampler.js';
import { createScheduler } from './scheduler.js';

export type GenerateRequest = {
  /** An empty prompt begins with the BOS token. */
  readonly prompt: string;
  /** Defaults to 200, or to the positions that are left. */
  readonly maxTokens?: number | undefined;
  readonly sampling: Sampling;
  readonly signal?: AbortSignal | undefined;
  /** Receives the text as it is written. */
  readonly onText?: (text: string) => void;
};

export type Generated = {
  readonly text: string;
  readonly finish: Finish;
  readonly promptTokens: number;
  readonly tokens: number;
  /** Seconds until the first token. */
  readonly promptSeconds: number;
  /** Tokens per second after the first; undefined where there is no second token. */
  readonly tokensPerSecond: number | undefined;
};

const DEFAULT_TOKENS = 200;

/** @throws OptionError E_OPTION_PROMPT, E_OPTION_MAX_TOKENS where there are too few positions */
export async function generateText(model: OpenedDecoder, request: GenerateRequest): Promise<Generated> {
  const prompt = encodePrompt(model, request.prompt);
  const { maxPositions } = model.info;
  const room = Math.max(0, maxPositions - prompt.length);
  const { maxTokens = Math.min(DEFAULT_TOKENS, room) } = request;
  if (prompt.length + maxTokens > maxPositions) {
    throw new OptionError(
      'E_OPTION_MAX_TOKENS',
      `--max-tokens: expected at most ${room} after a prompt of ${prompt.length} tokens (there are ${maxPositions} positions), got ${maxTokens}.`,
      { option: 'max-tokens', got: maxTokens, prompt: prompt.length, maxPositions },
    );
  }
  const scheduler = createScheduler(model, { queue: 1, chunk: 512 });
  const began = performance.now();
  const times: number[] = [];
  try {
    const [done] = complete(scheduler, model.tokenizer, [
      {
        prompt,
        maxTokens,
        sampling: request.sampling,
        stopTokens: model.eos,
        stops: [],
        signal: request.signal,
        onToken: () => void times.push(performance.now()),
        onPiece: ({ text }) => request.onText?.(text),
      },
    ]);
    const { text, finish, generated } = await done!;
    const [first, last] = [times[0] ?? performance.now(), times.at(-1) ?? 0];
    return {
      text,
      finish,
      promptTokens: prompt.length,
      tokens: generated,
      promptSeconds: (first - began) / 1000,
      tokensPerSecond: times.length > 1 && last > first ? ((times.length - 1) * 1000) / (last - first) : undefined,
    };
  } finally {
    await scheduler.close();
  }
}
