// Tokens → windows of T. `all`: the papers’ protocol, one after the other, without the tail. `sequential`: the first
// `count` of those. `random`: `count` seeded starts, uniform over the stream, drawn with replacement (the published recipe
// draws a document first; we have one stream).

import { CheckpointError, createRng, OptionError } from '../base/index.js';

export type Windows = {
  /** T, tokens in each window. */
  readonly length: number;
  readonly windows: readonly Int32Array[];
};

export type WindowOptions = {
  readonly length: number;
  readonly order: 'all' | 'random' | 'sequential';
  /** Number of windows; needed for `random` and `sequential`. */
  readonly count?: number;
  readonly seed: number;
};

/** Cuts a token stream. @throws OptionError E_OPTION_TEXT_SHORT where there are too few tokens. */
export function makeWindows(tokens: Int32Array, options: WindowOptions): Windows {
  const { length, order, count = Number.POSITIVE_INFINITY, seed } = options;
  const whole = Math.floor(tokens.length / length);
  const needed = order === 'sequential' ? count : 1;
  if (whole < needed) {
    throw new OptionError(
      'E_OPTION_TEXT_SHORT',
      `The text has ${tokens.length} tokens, which is ${whole} windows of ${length}; expected at least ${needed}. Give a longer text, a shorter --sequence-length${order === 'sequential' ? ' or fewer --calibration-samples' : ''}.`,
      { tokens: tokens.length, windows: whole, needed, length },
    );
  }
  const at = (start: number): Int32Array => tokens.slice(start, start + length);
  if (order === 'random') {
    const rng = createRng(seed);
    return { length, windows: Array.from({ length: count }, () => at(rng.below(tokens.length - length + 1))) };
  }
  return { length, windows: Array.from({ length: Math.min(whole, count) }, (_, i) => at(i * length)) };
}

/** @throws CheckpointError E_TEXT_VOCABULARY where a token is outside the model's vocabulary. */
export function checkVocabulary(windows: Windows, vocabularySize: number): void {
  for (const window of windows.windows) {
    for (const token of window) {
      if (token >= 0 && token < vocabularySize) continue;
      throw new CheckpointError(
        'E_TEXT_VOCABULARY',
        `The tokenizer gives token ${token}, but the model's vocabulary has ${vocabularySize}; tokenizer.json belongs to another checkpoint.`,
        { token, vocabularySize },
      );
    }
  }
}
