// The tokenizer of a checkpoint’s folder: a codec with a hash of everything its tokens depend on, so that they can be
// cached.

import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, type OnProgress, silent } from '../base/index.js';
import { type Codec, createCodec } from './codec.js';
import { tokenizerError } from './part.js';

export interface Tokenizer extends Pick<Codec, 'vocabularySize' | 'encode' | 'before' | 'bosToken' | 'padToken'> {
  /** SHA-256 of tokenizer.json and tokenizer_config.json, on which its tokens depend. */
  readonly hash: string;
}

/** A codec whose tokens can be cached. */
export type HashedCodec = Codec & Tokenizer;

const MAX_BYTES = 64 << 20;

/**
 * Loads the tokenizer of a checkpoint directory; where its two files disagree, a note says so.
 * @throws CheckpointError E_TEXT_TOKENIZER where tokenizer.json is missing, malformed or of a kind we cannot run
 */
export async function loadTokenizer(dir: string, onProgress: OnProgress = silent): Promise<HashedCodec> {
  const path = join(dir, 'tokenizer.json');
  const text = await readText(path);
  if (text === undefined) throw tokenizerError(path, 'a tokenizer.json beside the weights', 'no such file');
  const tokenizer = createTokenizer(text, await readText(join(dir, 'tokenizer_config.json')), dir);
  for (const note of tokenizer.notes) onProgress({ kind: 'note', text: `${dir}: ${note}` });
  return tokenizer;
}

/** As `createCodec`, with the hash. @throws CheckpointError E_TEXT_TOKENIZER */
export function createTokenizer(text: string, configText: string | undefined, where: string): HashedCodec {
  const hash = createHash('sha256')
    .update(text)
    .update('\n')
    .update(configText ?? '{}')
    .digest('hex');
  return { ...createCodec(text, configText, where), hash };
}

async function readText(path: string): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size > MAX_BYTES) throw tokenizerError(path, `at most ${MAX_BYTES} bytes`, `${size}`);
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(error, path);
  }
}
