// tokenizer.json through @huggingface/tokenizers. The library encodes about 0.7 MB of English a second, linearly in the
// length (docs/performance.md), so a text is encoded whole and its tokens are cached; nothing is cut. Decoding never
// tidies spaces (transformers' clean_up_tokenization_spaces): a completion has to fit the prompt it continues.

import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer as Library } from '@huggingface/tokenizers';
import { CheckpointError, fileError } from '../base/index.js';
import { createTokenBytes } from './token-bytes.js';

export interface Tokenizer {
  /** One more than the largest token id it knows. */
  readonly vocabularySize: number;
  /** SHA-256 of tokenizer.json and tokenizer_config.json: what its tokens depend on. */
  readonly hash: string;
  /** Token ids of a text, special tokens added as transformers adds them, once, around the whole, unless that is false. */
  encode(text: string, specialTokens?: boolean): Int32Array;
}

/** A tokenizer that works in both directions. */
export interface Codec extends Tokenizer {
  /** Characters of the longest token. */
  readonly longestToken: number;
  /** The text of tokens; special ones are left out unless `specialTokens`, as are ids without a token. */
  decode(tokens: readonly number[], specialTokens?: boolean): string;
  /** The bytes one token stands for; none for an id without a token. */
  tokenBytes(token: number): Uint8Array;
  /** The id of a token as the vocabulary spells it. */
  tokenId(word: string): number | undefined;
}

const MAX_BYTES = 64 << 20;

/**
 * Loads the tokenizer of a checkpoint directory.
 * @throws CheckpointError E_TEXT_TOKENIZER where tokenizer.json is missing, malformed or of a kind we cannot run
 */
export async function loadTokenizer(dir: string): Promise<Codec> {
  const path = join(dir, 'tokenizer.json');
  const text = await readText(path);
  if (text === undefined) throw broken(path, 'a tokenizer.json beside the weights', 'no such file');
  return createTokenizer(text, await readText(join(dir, 'tokenizer_config.json')), dir);
}

/**
 * The tokenizer that the texts of tokenizer.json and tokenizer_config.json describe; `where` they come from is for messages.
 * @throws CheckpointError E_TEXT_TOKENIZER where they are malformed or of a kind we cannot run
 */
export function createTokenizer(text: string, configText: string | undefined, where: string): Codec {
  const path = join(where, 'tokenizer.json');
  const value = parseJson(text, path);
  const config = parseJson(configText ?? '{}', join(where, 'tokenizer_config.json'));
  const model = (value as { model?: { type?: unknown; vocab?: unknown } }).model;
  if (typeof model !== 'object' || model === null || typeof model.vocab !== 'object' || model.vocab === null) {
    throw broken(path, 'an object "model" with a "vocab"', 'none');
  }
  let library: Library;
  try {
    library = new Library(value, config);
  } catch (cause) {
    throw broken(path, 'a tokenizer that can be run', (cause as Error).message, cause);
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
      throw broken(path, `a tokenizer that can ${what}`, (cause as Error).message, cause);
    }
  };
  return {
    vocabularySize: largest + 1,
    longestToken,
    hash: createHash('sha256')
      .update(text)
      .update('\n')
      .update(configText ?? '{}')
      .digest('hex'),
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

async function readText(path: string): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size > MAX_BYTES) throw broken(path, `at most ${MAX_BYTES} bytes`, `${size}`);
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(error, path);
  }
}

function parseJson(text: string, path: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw broken(path, 'JSON', (cause as Error).message, cause);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw broken(path, 'an object', Array.isArray(value) ? 'an array' : typeof value);
}

function broken(path: string, expected: string, got: string, cause?: unknown): CheckpointError {
  return new CheckpointError(
    'E_TEXT_TOKENIZER',
    `${path}: expected ${expected}, got ${got}. Export it again with transformers (tokenizer.save_pretrained).`,
    { file: path, expected, got },
    { cause },
  );
}
