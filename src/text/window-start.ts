// What windows begin with. A model that was trained with a BOS token in front of every text can be far off on a window that
// lacks it, so by default windows begin as the tokenizer's texts do. `none` is the way of the pruning papers: the whole text is
// encoded once, and windows are contiguous pieces of it.

import { OptionError } from '../base/index.js';
import type { Tokenizer } from './tokenizer.js';

export const WINDOW_STARTS = ['none', 'bos'] as const;
export type WindowStart = (typeof WINDOW_STARTS)[number];

/**
 * The token that every window begins with; undefined where windows are contiguous pieces of the text. Without `asked` it is
 * the token that the tokenizer puts before a text, if it puts one.
 * @throws OptionError E_OPTION_WINDOW_START where `bos` is asked for and there is none, or where the tokenizer begins a text
 * with more than one token
 */
export function startTokenOf(
  { before, bosToken }: Pick<Tokenizer, 'before' | 'bosToken'>,
  asked: WindowStart | undefined,
): number | undefined {
  if (asked === 'none') return undefined;
  if (before.length > 1) {
    throw new OptionError(
      'E_OPTION_WINDOW_START',
      `--window-start: expected a tokenizer that puts one token before a text, got one that puts ${before.length} (${before.join(', ')}). Pass --window-start none.`,
      { option: 'window-start', got: before },
    );
  }
  const token = before[0] ?? (asked === 'bos' ? bosToken : undefined);
  if (token === undefined && asked === 'bos') {
    throw new OptionError(
      'E_OPTION_WINDOW_START',
      '--window-start: expected a tokenizer with a BOS token, got one that puts none before a text and whose tokenizer_config.json names none (bos_token). Pass --window-start none, or leave the option out.',
      { option: 'window-start', got: asked },
    );
  }
  return token;
}
