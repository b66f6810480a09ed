// A model that is ready to be asked: a decoder and its language. How a path becomes one is `OpenDecoder`, which jobs and
// commands are given.

import { OptionError } from '../base/index.js';
import type { Decoder } from '../decoder/index.js';
import type { Language } from './language.js';

export type OpenOptions = {
  readonly threads: number;
  /** Sequences that may be open at once. */
  readonly sequences: number;
  /** Positions of a sequence at most; the model's maximum where undefined. */
  readonly positions: number | undefined;
  /** What a plain checkpoint's weights become (int8, int4, f32); a .lw file has its own. f32 where undefined. */
  readonly values?: string | undefined;
};

export type OpenedDecoder = Decoder & Language;

/** Opens a .lw file or a checkpoint's folder. */
export type OpenDecoder = (path: string, options: OpenOptions) => Promise<OpenedDecoder>;

/**
 * The tokens of a prompt as the tokenizer makes them, or the BOS token for a prompt without any.
 * @throws OptionError E_OPTION_PROMPT where there is none either
 */
export function encodePrompt({ tokenizer, bos }: Language, text: string, specialTokens = true): readonly number[] {
  return startSomewhere([...tokenizer.encode(text, specialTokens)], bos);
}

/** `tokens`, or the BOS token where there are none. @throws OptionError E_OPTION_PROMPT */
export function startSomewhere(tokens: readonly number[], bos: number | undefined): readonly number[] {
  if (tokens.length > 0) return tokens;
  if (bos !== undefined) return [bos];
  throw new OptionError(
    'E_OPTION_PROMPT',
    'prompt: expected at least one token; this model has no BOS token to begin an empty text with. Give some text.',
    { option: 'prompt' },
  );
}
