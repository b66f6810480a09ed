// tokenizer.json through @huggingface/tokenizers. The library encodes about 0.7 MB of English a second, linearly in the
// length (docs/performance.md), so a text is encoded whole and its tokens are cached; nothing is cut. Decoding never
// tidies spaces (transformers' clean_up_tokenization_spaces): a completion has to fit the prompt it continues.

import { Tokenizer as Library } from '@huggingface/tokenizers';
import { CheckpointError } from '../base/portable.js';
import { createTokenBytes } from './token-bytes.js';

/** A tokenizer that works in both directions. */
export interface Codec {
  /** One more than the largest token id it knows. */
  readonly vocabularySize: number;
  /** Characters of the longest token. */
  readonly longestToken: number;
  /** Token ids of a text, special tokens added as transformers adds them, once, around the whole, unless that is false. */
  encode(text: string, specialTokens?: boolean): Int32Array;
  /** The text of tokens; special ones are left out unless `specialTokens`, as are ids without a token. */
  decode(tokens: readonly number[], specialTokens?: boolean): string;
  /** The bytes one token stands for; none for an id without a token. */
  tokenBytes(token: number): Uint8Array;
  /** The id of a token as the vocabulary spells it. */
  tokenId(word: string): number | undefined;
}

/**
 * The tokenizer that the texts of tokenizer.json and tokenizer_config.json describe; `where` they come from is for messages.
 * @throws CheckpointError E_TEXT_TOKENIZER where they are malformed or of a kind we cannot run
 */
export function createCodec(text: string, configText: string | undefined, where: string): Codec {
  const path = `${where}/tokenizer.json`;
  const value = parseJson(text, path);
  const config = parseJson(configText ?? '{}', `${where}/tokenizer_config.json`);
  const model = (value as { model?: { type?: unknown; vocab?: unknown } }).model;
  if (typeof model !== 'object' || model === null || typeof model.vocab !== 'object' || model.vocab === null) {
    throw tokenizerError(path, 'an object "model" with a "vocab"', 'none');
  }
  let library: Library;
  try {
    library = new Library(value, config);
  } catch (cause) {
    throw tokenizerError(path, 'a tokenizer that can be run', (cause as Error).message, cause);
  }
  let largest = -1;
  for (const id of library.get_vocab().values()) largest = Math.max(largest, id);
  const words = new Map<number, string>(); // not from get_vocab, in which the later of two equal words hides the other
  let longestToken = 1;
  for (let id = 0; id <= largest; id++) {
    const word = library.id_to_token(id);
    if (word === undefined) continue;
    words.set(id, word);
    longestToken = Math.max(longestToken, word.length);
  }
  const added = library.get_added_tokens_decoder();
  const guard = <T>(what: string, work: () => T): T => {
    try {
      return work();
    } catch (cause) {
      throw tokenizerError(path, `a tokenizer that can ${what}`, (cause as Error).message, cause);
    }
  };
  return {
    vocabularySize: largest + 1,
    longestToken,
    encode: (input, specialTokens = true) =>
      guard('encode the text', () => Int32Array.from(library.encode(input, { add_special_tokens: specialTokens }).ids)),
    decode: (tokens, specialTokens = false) => {
      const told = tokens.filter((id) => words.has(id) && (specialTokens || added.get(id)?.special !== true));
      if (told.length === 0) return ''; // the library refuses to decode nothing
      return guard('decode tokens', () => library.decode(told, { clean_up_tokenization_spaces: false }));
    },
    tokenBytes: createTokenBytes((value as { decoder?: unknown }).decoder, words, (id) => added.has(id)),
    tokenId: (word) => library.token_to_id(word),
  };
}

function parseJson(text: string, path: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw tokenizerError(path, 'JSON', (cause as Error).message, cause);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw tokenizerError(path, 'an object', Array.isArray(value) ? 'an array' : typeof value);
}

/** A tokenizer that is not what it should be. */
export function tokenizerError(path: string, expected: string, got: string, cause?: unknown): CheckpointError {
  return new CheckpointError(
    'E_TEXT_TOKENIZER',
    `${path}: expected ${expected}, got ${got}. Export it again with transformers (tokenizer.save_pretrained).`,
    { file: path, expected, got },
    { cause },
  );
}
