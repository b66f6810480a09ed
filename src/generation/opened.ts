// A model that is ready to be asked: a decoder and its language.

import { OptionError } from '../base/portable.js';
import type { Decoder } from '../decoder/portable.js';
import type { Language } from './language.js';

export type OpenedDecoder = Decoder & Language;

/**
 * The tokens of a prompt as the tokenizer makes them, or the BOS token for a prompt without any.
 * @throws OptionError E_OPTION_PROMPT where there is none either, or one that the model does not know
 */
export function encodePrompt(
  { tokenizer, bos, info }: Pick<OpenedDecoder, 'tokenizer' | 'bos' | 'info'>,
  text: string,
  specialTokens = true,
): readonly number[] {
  const tokens = [...tokenizer.encode(text, specialTokens)];
  const stranger = tokens.find((token) => token >= info.vocabulary);
  if (stranger === undefined) return startSomewhere(tokens, bos);
  const word = JSON.stringify(tokenizer.decode([stranger], true));
  throw new OptionError(
    'E_OPTION_PROMPT',
    `prompt: ${word} is token ${stranger} of the tokenizer, but the model knows ${info.vocabulary}, from 0 on. Leave it out, or take the tokenizer that belongs to the model.`,
    { option: 'prompt', token: stranger, vocabulary: info.vocabulary },
  );
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
