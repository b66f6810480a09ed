import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createTokenizer, loadTokenizer } from '../../src/text/index.js';
import { runs } from '../scale.js';
import { sharedPath, testWith } from '../shared.js';
import { makeSentencePiece } from './sentence-piece.js';

const demo = await loadTokenizer(fileURLToPath(new URL('../../demo/model', import.meta.url)));
const utf8 = (bytes: Uint8Array): string => new TextDecoder('utf-8', { fatal: true }).decode(bytes);

describe('a byte-level tokenizer', () => {
  test('decodes what it encoded', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
        expect(demo.decode([...demo.encode(text)], true)).toBe(text);
      }),
      { numRuns: runs(100) },
    );
  });

  test('the bytes of tokens are the text’s, cut anywhere', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
        const bytes = [...demo.encode(text)].flatMap((token) => [...demo.tokenBytes(token)]);
        expect(utf8(Uint8Array.from(bytes))).toBe(text);
      }),
      { numRuns: runs(100) },
    );
  });

  test('every one of the 256 bytes is some token’s', () => {
    const single = Array.from({ length: demo.vocabularySize }, (_, id) => demo.tokenBytes(id)).filter(
      (bytes) => bytes.length === 1,
    );
    expect(new Set(single.map(([byte]) => byte)).size).toBe(256);
  });

  test('special tokens are left out of a text unless asked for, and are found by name', () => {
    const end = demo.tokenId('<|endoftext|>')!;
    const tokens = [end, ...demo.encode('Once'), end];
    expect(demo.decode(tokens)).toBe('Once');
    expect(demo.decode(tokens, true)).toBe('<|endoftext|>Once<|endoftext|>');
    expect(utf8(demo.tokenBytes(end))).toBe('<|endoftext|>');
    expect(demo.tokenId('no such token')).toBeUndefined();
  });

  test('ids without a token, and no ids, are no text', () => {
    expect(demo.decode([])).toBe('');
    expect(demo.decode([demo.vocabularySize, 1e9, -1])).toBe('');
    expect(demo.tokenBytes(demo.vocabularySize)).toEqual(new Uint8Array());
  });

  test('spaces before punctuation stay', () => {
    expect(demo.decode([...demo.encode("a . b ? do n't")])).toBe("a . b ? do n't");
  });

  test('the longest token bounds how few tokens a text can have', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (text) => {
        expect(demo.encode(text).length * demo.longestToken).toBeGreaterThanOrEqual(text.length);
      }),
      { numRuns: runs(100) },
    );
  });
});

describe('a SentencePiece tokenizer', () => {
  const codec = makeSentencePiece();

  test('adds its BOS token where asked, and reads without the first space', () => {
    expect([...codec.encode('ab')][0]).toBe(codec.tokenId('<s>'));
    expect([...codec.encode('ab', false)]).not.toContain(codec.tokenId('<s>'));
    expect(codec.decode([...codec.encode('ab ba')])).toBe('ab ba');
  });

  test('bytes: a space where the decoder drops it, a byte that is no character', () => {
    expect(utf8(codec.tokenBytes(codec.tokenId('▁a')!))).toBe(' a');
    expect([...codec.tokenBytes(codec.tokenId('<0xC3>')!)]).toEqual([0xc3]);
    expect(codec.decode([...codec.encode('aé')])).toBe('aé');
  });
});

test.each([
  ['byte-level', demo],
  ['SentencePiece', makeSentencePiece()],
])('U+FEFF is a character like any other, %s', (_, codec) => {
  for (const text of ['\ufeff', '\ufeffa', 'a\ufeff', 'a\ufeff\ufeff b']) {
    const tokens = [...codec.encode(text, false)];
    expect(codec.decode(tokens)).toBe(text);
    expect(codec.decodeSoFar(tokens)).toBe(text);
  }
});

test('bytes that are no character: all in a row are given up, or those alone where more may follow', () => {
  const codec = makeSentencePiece();
  const byte = (value: number): number => codec.tokenId(`<0x${value.toString(16).toUpperCase()}>`)!;
  const tokens = [byte(0xc3), byte(0xa9), byte(0xe2)];
  expect(codec.decode(tokens)).toBe('\ufffd\ufffd\ufffd');
  expect(codec.decodeSoFar(tokens)).toBe('é\ufffd');
});

test('from texts, wherever they lay', () => {
  const dir = fileURLToPath(new URL('../../demo/model', import.meta.url));
  const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
  const codec = createTokenizer(read('tokenizer.json'), read('tokenizer_config.json'), 'memory');
  expect(codec.hash).toBe(demo.hash);
  expect([...codec.encode('Once upon')]).toEqual([...demo.encode('Once upon')]);
});

const gpt2 = sharedPath('data', 'tokenizers', 'gpt2');
testWith(gpt2, 'GPT-2’s tokenizer')('GPT-2: round trip', async () => {
  const codec = await loadTokenizer(gpt2!);
  const text = 'Déjà vu: 東京, 👩‍👩‍👧, and so on .';
  expect(codec.decode([...codec.encode(text)])).toBe(text);
});
