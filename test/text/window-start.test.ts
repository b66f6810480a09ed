// What windows begin with: the choice, for the tokenizers there are.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createTokenizer, startTokenOf, tokenizeCorpus } from '../../src/text/index.js';
import { byteTokenizer } from '../api/make.js';
import { makeSentencePiece } from './sentence-piece.js';

type Ids = readonly number[];

/** A tokenizer of bytes that puts the tokens of `before` in front of a text, and 9 behind it. */
function bytes(before: Ids, config: object = {}) {
  const special = (id: number) => ({ SpecialToken: { id: `${id}`, type_id: 0 } });
  const post_processor = {
    type: 'TemplateProcessing',
    single: [...before.map(special), { Sequence: { id: 'A', type_id: 0 } }, special(9)],
    pair: [],
    special_tokens: Object.fromEntries([...before, 9].map((id) => [id, { id: `${id}`, ids: [id], tokens: [`${id}`] }])),
  };
  const tokenizer = JSON.stringify({ ...byteTokenizer(), post_processor });
  return createTokenizer(tokenizer, JSON.stringify(config), 'test');
}

describe('without a choice', () => {
  test('it is what the tokenizer puts before a text', () => {
    expect(startTokenOf(makeSentencePiece(), undefined)).toBe(1);
    expect(startTokenOf(bytes([7]), undefined)).toBe(7);
  });

  test('it is nothing where the tokenizer puts nothing, even if it names a BOS token', () => {
    expect(startTokenOf(bytes([], { bos_token: 'a' }), undefined)).toBeUndefined();
  });

  test.each([
    ['llama3', true],
    ['gemma', true],
    ['gpt2', false],
    ['qwen2', false],
  ])('%s', (name, adds) => {
    const golden = JSON.parse(readFileSync(new URL(`../golden/tokenizers/${name}.json`, import.meta.url), 'utf8'));
    const tokenizer = createTokenizer(JSON.stringify(golden.tokenizer), undefined, 'test');
    const start = startTokenOf(tokenizer, undefined);
    expect(start !== undefined).toBe(adds);
    if (adds) expect(tokenizer.encode('text')[0]).toBe(start);
  });
});

test('none is nothing, whatever the tokenizer does', () => {
  expect(startTokenOf(bytes([7], { bos_token: 'a' }), 'none')).toBeUndefined();
  expect(startTokenOf(bytes([7, 8]), 'none')).toBeUndefined();
});

test('bos is what the tokenizer puts before a text, else the BOS token that it names', () => {
  expect(startTokenOf(bytes([7], { bos_token: 'a' }), 'bos')).toBe(7);
  expect(startTokenOf(bytes([], { bos_token: 'a' }), 'bos')).toBe(97);
  expect(startTokenOf(bytes([], { bos_token: { content: 'b' } }), 'bos')).toBe(98);
});

test('bos without such a token, and a start of several tokens, are refused with the next step', () => {
  expect(() => startTokenOf(bytes([]), 'bos')).toThrowError(
    expect.objectContaining({ code: 'E_OPTION_WINDOW_START', message: expect.stringMatching(/--window-start none/) }),
  );
  for (const asked of [undefined, 'bos'] as const) {
    expect(() => startTokenOf(bytes([7, 8]), asked)).toThrowError(
      expect.objectContaining({ code: 'E_OPTION_WINDOW_START', message: expect.stringMatching(/puts 2 \(7, 8\)/) }),
    );
  }
});

test('the tokens of a text without special tokens are kept apart from those with them', async () => {
  const cacheDir = mkdtempSync(join(tmpdir(), 'layerwise-start-'));
  const [tokenizer, corpus] = [bytes([7]), { path: 'x.txt', text: 'ab', hash: 'x' }];
  for (const _ of ['first', 'from the cache']) {
    expect([...(await tokenizeCorpus(tokenizer, corpus, { cacheDir }))]).toEqual([7, 97, 98, 9]);
    expect([...(await tokenizeCorpus(tokenizer, corpus, { cacheDir, specialTokens: false }))]).toEqual([97, 98]);
  }
  rmSync(cacheDir, { recursive: true });
});
