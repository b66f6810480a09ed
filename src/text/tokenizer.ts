// tokenizer.json through @huggingface/tokenizers. The library encodes about 0.7 MB of English a second, linearly in the
// length (docs/performance.md), so a text is encoded whole and its tokens are cached; nothing is cut.

import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer as Library } from '@huggingface/tokenizers';
import { CheckpointError, fileError } from '../base/index.js';

export interface Tokenizer {
  /** One more than the largest token id it knows. */
  readonly vocabularySize: number;
  /** SHA-256 of tokenizer.json and tokenizer_config.json: what its tokens depend on. */
  readonly hash: string;
  /** Token ids of a text, special tokens added as transformers adds them: once, around the whole. */
  encode(text: string): Int32Array;
}

const MAX_BYTES = 64 << 20;

/**
 * Loads the tokenizer of a checkpoint directory.
 * @throws CheckpointError E_TEXT_TOKENIZER where tokenizer.json is missing, malformed or of a kind we cannot run
 */
export async function loadTokenizer(dir: string): Promise<Tokenizer> {
  const path = join(dir, 'tokenizer.json');
  const { text, value } = await readJson(path, true);
  const { text: configText, value: config } = await readJson(join(dir, 'tokenizer_config.json'), false);
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
  return {
    vocabularySize: largest + 1,
    hash: createHash('sha256').update(text).update('\n').update(configText).digest('hex'),
    encode: (input) => {
      try {
        return Int32Array.from(library.encode(input).ids);
      } catch (cause) {
        throw broken(path, 'a tokenizer that can encode the text', (cause as Error).message, cause);
      }
    },
  };
}

async function readJson(path: string, required: boolean): Promise<{ text: string; value: object }> {
  let text: string;
  try {
    const { size } = await stat(path);
    if (size > MAX_BYTES) throw broken(path, `at most ${MAX_BYTES} bytes`, `${size}`);
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw fileError(error, path);
    if (!required) return { text: '{}', value: {} };
    throw broken(path, 'a tokenizer.json beside the weights', 'no such file', error);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw broken(path, 'JSON', (cause as Error).message, cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw broken(path, 'an object', typeof value);
  return { text, value };
}

function broken(path: string, expected: string, got: string, cause?: unknown): CheckpointError {
  return new CheckpointError(
    'E_TEXT_TOKENIZER',
    `${path}: expected ${expected}, got ${got}. Export it again with transformers (tokenizer.save_pretrained).`,
    { file: path, expected, got },
    { cause },
  );
}
