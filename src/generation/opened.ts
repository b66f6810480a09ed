// A model that is ready to use: a decoder and its language.

import { OptionError } from '../base/portable.js';
import type { Decoder } from '../decoder/portable.js';
import type { Language } from './language.js';

export type OpenedDecoder = Decoder & Language;

/**
 * The tokens of a prompt as the tokenizer makes them, or the BOS token for an empty prompt.
 * @throws OptionError E_OPTION_PROMPT where there is no BOS token, or for a token that the model does not have
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
    `prompt: ${word} is token ${stranger} of the tokenizer, but the model only has tokens 0 to ${info.vocabulary - 1}. Remove it from the prompt, or use the model's own tokenizer.`,
    { option: 'prompt', token: stranger, vocabulary: info.vocabulary },
  );
}

/** `tokens`, or the BOS token where there are none. @throws OptionError E_OPTION_PROMPT */
export function startSomewhere(tokens: readonly number[], bos: number | undefined): readonly number[] {
  if (tokens.length > 0) return tokens;
  if (bos !== undefined) return [bos];
  throw new OptionError(
    'E_OPTION_PROMPT',
    'prompt: expected at least one token; this model has no BOS token that could begin an empty text. Pass some text.',
    { option: 'prompt' },
  );
}
