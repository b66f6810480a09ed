// Changes to the logits before a token is chosen, greedily or at random, in vLLM’s order: a bias for single tokens; the
// repetition penalty of transformers on tokens of the prompt and of the text (a positive logit is divided by it, a negative
// one multiplied); OpenAI’s penalties on tokens of the text, per occurrence and for occurring at all.

export type Penalties = {
  /** Above 0; 1 changes nothing. Defaults to 1. */
  readonly repetitionPenalty?: number | undefined;
  /** Subtracted for each occurrence of the token in the text. Defaults to 0. */
  readonly frequencyPenalty?: number | undefined;
  /** Subtracted where the token occurs in the text. Defaults to 0. */
  readonly presencePenalty?: number | undefined;
  /** Added to a token's logit. Defaults to none. */
  readonly logitBias?: ReadonlyMap<number, number> | undefined;
};

export interface Adjuster {
  /** The logits to choose a token from; the input is not changed. */
  adjust(logits: Float32Array): Float32Array;
  /** Receives each token of the text. */
  add(token: number): void;
}

/** Undefined where nothing is changed. */
export function createAdjuster(penalties: Penalties, prompt: readonly number[]): Adjuster | undefined {
  const { repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0, logitBias } = penalties;
  const isNeutral = repetitionPenalty === 1 && frequencyPenalty === 0 && presencePenalty === 0;
  if (isNeutral && !logitBias?.size) return undefined;
  const seen = new Set(repetitionPenalty === 1 ? [] : prompt);
  const counts = new Map<number, number>();
  return {
    adjust(logits) {
      const adjusted = logits.slice();
      for (const [token, bias] of logitBias ?? []) adjusted[token]! += bias;
      for (const token of seen) {
        const logit = adjusted[token]!;
        adjusted[token] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
      }
      for (const [token, count] of counts) adjusted[token]! -= frequencyPenalty * count + presencePenalty;
      return adjusted;
    },
    add(token) {
      counts.set(token, (counts.get(token) ?? 0) + 1);
      if (repetitionPenalty !== 1) seen.add(token);
    },
  };
}
