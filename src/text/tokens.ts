// The tokens of a corpus, cached on disk by what they depend on: the tokenizer, the text, this version. A damaged cache is
// rebuilt; a cache that cannot be written is skipped.

import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VERSION, writeFileAtomic } from '../base/index.js';
import type { Corpus } from './corpus.js';
import type { Tokenizer } from './tokenizer.js';

// Increase the digit with each change to a tokenizer’s results.
const MAGIC = Buffer.from('LWTOKEN2');
const DIGEST = 32;

/**
 * The token ids of a corpus, by default with the special tokens that the tokenizer puts around a text. `cacheDir` keeps them
 * for the next time; defaults to no cache.
 */
export async function tokenizeCorpus(
  tokenizer: Pick<Tokenizer, 'hash' | 'encode'>,
  corpus: Corpus,
  options: { readonly cacheDir?: string; readonly specialTokens?: boolean } = {},
): Promise<Int32Array> {
  const { cacheDir, specialTokens = true } = options;
  if (cacheDir === undefined) return tokenizer.encode(corpus.text, specialTokens);
  const parts = [VERSION, tokenizer.hash, corpus.hash, ...(specialTokens ? [] : ['without special tokens'])];
  const key = sha256(Buffer.from(parts.join('\n'))).toString('hex');
  const path = join(cacheDir, `${key}.tokens`);
  const cached = await readFile(path).then(parse, () => undefined);
  if (cached) return cached;
  const tokens = tokenizer.encode(corpus.text, specialTokens);
  const body = Buffer.from(tokens.buffer, tokens.byteOffset, tokens.byteLength);
  await mkdir(cacheDir, { recursive: true })
    .then(() => writeFileAtomic(path, Buffer.concat([MAGIC, sha256(body), body])))
    .catch(() => {}); // a cache is a convenience: without it the next run only takes longer
  return tokens;
}

function parse(bytes: Buffer): Int32Array | undefined {
  const body = bytes.subarray(MAGIC.length + DIGEST);
  const intact =
    bytes.subarray(0, MAGIC.length).equals(MAGIC) &&
    body.length % 4 === 0 &&
    sha256(body).equals(bytes.subarray(MAGIC.length, MAGIC.length + DIGEST));
  return intact ? new Int32Array(new Uint8Array(body).buffer) : undefined;
}

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
