// A request to the scheduler: one sequence, its tokens, when it ends, and its callbacks.

import type { Sampling } from './sampler.js';
import type { ScoredToken } from './scores.js';

export type SequenceRequest = {
  /** At least one token. */
  readonly prompt: readonly number[];
  /** Most tokens to generate; 0 only reads the prompt. */
  readonly maxTokens: number;
  readonly sampling: Sampling;
  /** Tokens that end the text; they are not part of it. */
  readonly stopTokens: ReadonlySet<number>;
  /** Scores each generated token and this many of the likeliest. Defaults to no scores. */
  readonly scores?: number | undefined;
  /** Scores the prompt’s tokens from the second on, and this many of the likeliest. Defaults to no scores. */
  readonly promptScores?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Receives the scores of a chunk of the prompt, in order. */
  readonly onPrompt?: ((scores: readonly ScoredToken[]) => void) | undefined;
  /** Receives each token; returns true to end the text. */
  readonly onToken: (token: number, score: ScoredToken | undefined) => boolean;
};

/** `stop`: a stop token came, or `onToken` returned true. `length`: the requested number of tokens was reached. */
export type Finish = 'stop' | 'length';
