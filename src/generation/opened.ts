// A model that is ready to be asked: a decoder and its language.

import { OptionError } from '../base/portable.js';
import type { Decoder } from '../decoder/portable.js';
import type { Language } from './language.js';

export type OpenedDecoder = Decoder & Language;

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
