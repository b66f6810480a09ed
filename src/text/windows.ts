// Tokens → windows of T. `all`: the papers’ protocol, one after the other, without the tail. `sequential`: the first
// `count` of those. `random`: `count` seeded starts, uniform over the stream, drawn with replacement (the published recipe
// draws a document first; we have one stream). With a start token, each window is that token and T − 1 tokens of the text, so as
// many tokens are predicted as without one, and the first of the text is among them.

import { CheckpointError, createRng, OptionError } from '../base/index.js';

export type Windows = {
  /** T, tokens in each window, with the start token where there is one. */
  readonly length: number;
  readonly windows: readonly Int32Array[];
  /** The number of each one's class, where whole texts are classified. */
  readonly labels?: Int32Array | undefined;
};

export type WindowOptions = {
  readonly length: number;
  readonly order: 'all' | 'random' | 'sequential';
  /** Number of windows; needed for `random` and `sequential`. */
  readonly count?: number;
  /** The token that each window begins with. Defaults to none: windows are contiguous pieces of `tokens`. */
  readonly start?: number | undefined;
  readonly seed: number;
};

/** Cuts a token stream. @throws OptionError E_OPTION_TEXT_SHORT where there are too few tokens. */
export function makeWindows(tokens: Int32Array, options: WindowOptions): Windows {
  const { length, order, count = Number.POSITIVE_INFINITY, start, seed } = options;
  const piece = start === undefined ? length : length - 1;
  const whole = Math.floor(tokens.length / piece);
  const needed = order === 'sequential' ? count : 1;
  if (whole < needed) {
    throw new OptionError(
      'E_OPTION_TEXT_SHORT',
      `The text has ${tokens.length} tokens, which is ${whole} windows of ${length}${start === undefined ? '' : ' (BOS and text)'}; expected at least ${needed}. Give a longer text, a shorter --sequence-length${order === 'sequential' ? ' or fewer --calibration-samples' : ''}.`,
      { tokens: tokens.length, windows: whole, needed, length },
    );
  }
  const at = (from: number): Int32Array => {
    if (start === undefined) return tokens.slice(from, from + length);
    const window = new Int32Array(length);
    window[0] = start;
    window.set(tokens.subarray(from, from + piece), 1);
    return window;
  };
  if (order === 'random') {
    const rng = createRng(seed);
    return { length, windows: Array.from({ length: count }, () => at(rng.below(tokens.length - piece + 1))) };
  }
  return { length, windows: Array.from({ length: Math.min(whole, count) }, (_, i) => at(i * piece)) };
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
