// Texts of any length: a piece is never too long, cuts change no token, and time grows with the text.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Codec, codecOf } from '../../src/text/portable.js';
import { runs } from '../scale.js';

const where = { path: 'tokenizer.json', configPath: 'tokenizer_config.json' };
const make = (model: object): Codec => codecOf({ model }, {}, where);

/** The plain twin: of all pairs that can be merged the one of lowest rank, the leftmost first, looked for anew each time. */
function mergePlainly(text: string, merges: readonly (readonly [string, string])[]): string[] {
  const words = [...text];
  for (;;) {
    let best = merges.length;
    let at = -1;
    for (let i = 0; i + 1 < words.length; i++) {
      const rank = merges.findIndex(([left, right]) => left === words[i] && right === words[i + 1]);
      if (rank >= 0 && rank < best) [best, at] = [rank, i];
    }
    if (at < 0) return words;
    words.splice(at, 2, words[at]! + words[at + 1]!);
  }
}

/** Merges of words that are there, each with a new word. */
const mergesOf = (letters: readonly string[], picks: readonly (readonly [number, number])[]) => {
  const words = [...letters];
  const merges: [string, string][] = [];
  for (const [a, b] of picks) {
    const [left, right] = [words[a % words.length]!, words[b % words.length]!];
    if (words.includes(left + right)) continue;
    merges.push([left, right]);
    words.push(left + right);
  }
  return { words, merges };
};

const letters = ['a', 'b', 'c', '▁', '😀', '東'];
const unit = fc.constantFrom(...letters, '▁', 'é'); // é is not in the vocabulary

describe('BPE of one long piece', () => {
  test('cut or not, the tokens are those of the plain twin', () => {
    const picks = fc.array(fc.tuple(fc.nat(40), fc.nat(40)), { maxLength: 25 });
    fc.assert(
      fc.property(picks, fc.string({ unit, minLength: 1, maxLength: 160 }), (pairs, text) => {
        const { words, merges } = mergesOf(letters, pairs);
        const all = ['é', ...words];
        const codec = make({ type: 'BPE', merges, vocab: Object.fromEntries(all.map((word, id) => [word, id])) });
        expect([...codec.encode(text)].map((id) => all[id])).toEqual(mergePlainly(text, merges));
      }),
      { numRuns: runs(300) },
    );
  });

  test.each([true, false])(
    'unknown characters and bytes at the cuts: a long text is its parts (fused: %s)',
    (fuse_unk) => {
      const picks = fc.array(fc.tuple(fc.nat(40), fc.nat(40)), { maxLength: 25 });
      fc.assert(
        fc.property(
          picks,
          fc.array(fc.string({ unit, minLength: 1, maxLength: 9 }), { minLength: 20, maxLength: 30 }),
          (pairs, parts) => {
            const { words, merges } = mergesOf(letters, pairs);
            const vocab = Object.fromEntries(['<unk>', '<0xC3>', '|', ...words].map((word, id) => [word, id]));
            const codec = make({ type: 'BPE', merges, vocab, unk_token: '<unk>', fuse_unk, byte_fallback: true });
            const bar = codec.encode('|')[0]!; // no merge has it, so what is between bars is merged alone
            const apart = parts.flatMap((part) => [...codec.encode(part), bar]);
            expect([...codec.encode(parts.map((part) => `${part}|`).join(''))]).toEqual(apart);
          },
        ),
        { numRuns: runs(200) },
      );
    },
  );

  test('two merges that make the same word: the first that is due is done, as in the Rust library', () => {
    const vocab = Object.fromEntries(['a', 'b', 'c', 'ab', 'bc', 'abc'].map((word, id) => [word, id]));
    const merges = ['b c', 'a bc', 'a b', 'ab c'];
    expect([...make({ type: 'BPE', vocab, merges }).encode('abcab')]).toEqual([5, 3]);
  });
});

describe('a megabyte in one piece', () => {
  const words = ['▁', ...'abcdefghijklmnopqrstuvwxyz.', '▁the', '▁fox', 'ab', 'aba'];
  const text = `▁the▁quick▁brown▁fox${'ab'.repeat(12)}.`.repeat(22_000);

  test('Unigram', () => {
    const codec = make({
      type: 'Unigram',
      unk_id: 0,
      vocab: [['<unk>', 0], ...words.map((word, i) => [word, -1 - i / 99])],
    });
    const once = codec.encode(text.slice(0, text.length / 22_000)).length;
    expect(codec.encode(text)).toHaveLength(22_000 * once);
    expect(codec.encode('é'.repeat(1e6))).toHaveLength(1); // unknown neighbours are one
  });

  test('BPE, where merges cross everything', () => {
    const all = ['a', 'b', 'ab', 'ba', 'abab', 'bab'];
    const vocab = Object.fromEntries(all.map((word, id) => [word, id]));
    const codec = make({ type: 'BPE', vocab, merges: ['a b', 'b a', 'ab ab', 'b ab'] });
    const ids = codec.encode('ab'.repeat(500_000));
    expect(ids).toHaveLength(250_000);
    expect(new Set(ids)).toEqual(new Set([all.indexOf('abab')]));
    expect(codec.decode([...ids]).length).toBe(1_000_000 + ids.length - 1);
  });
});
