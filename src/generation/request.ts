// What the scheduler is asked for: one sequence, its tokens, when it ends, and whom to tell.

import type { Sampling } from './sampler.js';
import type { ScoredToken } from './scores.js';

export type SequenceRequest = {
  /** At least one token. */
  readonly prompt: readonly number[];
  /** Tokens to generate at most; 0 only reads the prompt. */
  readonly maxTokens: number;
  readonly sampling: Sampling;
  /** Tokens that end the text and are no part of it. */
  readonly stopTokens: ReadonlySet<number>;
  /** Score each generated token, with so many of the likeliest. Defaults to no scores. */
  readonly scores?: number | undefined;
  /** Score the prompt's tokens from the second on, with so many of the likeliest. Defaults to no scores. */
  readonly promptScores?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told the scores of a chunk of the prompt, in order. */
  readonly onPrompt?: ((scores: readonly ScoredToken[]) => void) | undefined;
  /** Told each token; true ends the text. */
  readonly onToken: (token: number, score: ScoredToken | undefined) => boolean;
};

/** `stop`: a stop token, or `onToken` said so. `length`: as many tokens as were asked for. */
export type Finish = 'stop' | 'length';
