// The tokenizers of twins. The judge of SentencePiece's is the plain algorithm, written here: of all neighbours whose
// concatenation is a piece, the one of the highest score is joined, the leftmost of equals, until none is left.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { folderTexts, loadLanguage } from '../../src/generation/index.js';
import { openTwin } from '../../src/gguf/index.js';
import { loadTokenizer } from '../../src/text/index.js';
import { makeDir } from '../checkpoint/make.js';
import { FAMILY_CONFIGS, makeFamily } from '../families.js';
import { runs } from '../scale.js';
import { convert, list, type Pair, value } from './make.js';

const ROWS = 320;
let folder: string;
let count = 0;
beforeAll(async () => {
  folder = await makeDir();
});

type Pairs = Readonly<Record<string, Pair | undefined>>;

/** The folder of the twin of a small LLaMA with these keys of `tokenizer.ggml`. */
async function twinOf(pairs: Pairs, more: Pairs = {}): Promise<string> {
  const source = join(folder, 'source');
  const config = { ...FAMILY_CONFIGS.llama, intermediate_size: 64, vocab_size: ROWS };
  if (count === 0) await makeFamily(source, 'llama', { config });
  const own = Object.entries(pairs).map(([key, pair]) => [`tokenizer.ggml.${key}`, pair] as const);
  const file = await convert(source, join(folder, `${count++}.gguf`), { pairs: [...own, ...Object.entries(more)] });
  return (await openTwin(file, join(folder, 'cache'))).dir;
}

const [NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE] = [1, 2, 3, 4, 6];
const SPACE = '\u2581';
type Token = readonly [text: string, type: number, score: number];
const bytes = Array.from({ length: 256 }, (_, byte): Token => {
  return [`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, BYTE, 0];
});
const pieces = [
  SPACE,
  'a',
  'b',
  'c',
  'é',
  'ab',
  `${SPACE}a`,
  'bc',
  'abc',
  `${SPACE}ab`,
  'aa',
  'aaa',
  'cab',
  `b${SPACE}`,
];
const vocabulary: readonly Token[] = [
  ['<unk>', UNKNOWN, 0],
  ['<s>', CONTROL, 0],
  ['</s>', CONTROL, 0],
  ...bytes,
  ...pieces.map((piece, i): Token => [piece, NORMAL, -i]),
  ['<b>', USER_DEFINED, -1000],
];
const piecePairs = (tokens: readonly Token[] = vocabulary): Pairs => ({
  model: value('text', 'llama'),
  pre: value('text', 'default'),
  tokens: list(
    'text',
    tokens.map(([word]) => word),
  ),
  token_type: list(
    'i32',
    tokens.map(([, type]) => type),
  ),
  scores: list(
    'f32',
    tokens.map(([, , score]) => score),
  ),
  merges: undefined,
  eos_token_id: undefined,
});
const idOf = (word: string): number => vocabulary.findIndex(([one]) => one === word);

/** The plain algorithm, of a text without special tokens. */
function joinPieces(text: string): number[] {
  const symbols = [...text.replaceAll(' ', SPACE)];
  const scores = new Map(vocabulary.flatMap(([word, type, score]) => (type === NORMAL ? [[word, score]] : [])));
  for (;;) {
    let best = -1;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const score = scores.get(symbols[i]! + symbols[i + 1]!);
      if (score === undefined) continue;
      if (best < 0 || score > scores.get(symbols[best]! + symbols[best + 1]!)!) best = i;
    }
    if (best < 0) break;
    symbols.splice(best, 2, symbols[best]! + symbols[best + 1]!);
  }
  return symbols.flatMap((symbol) => {
    if (scores.has(symbol)) return [idOf(symbol)];
    return [...new TextEncoder().encode(symbol)].map((byte) => 3 + byte);
  });
}

describe('SentencePiece', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' ', 'é', '😀', '\n', SPACE), maxLength: 30 });

  test.each([true, false])('with a space before the text: %s', async (prefixes) => {
    const dir = await twinOf({ ...piecePairs(), add_space_prefix: value('bool', prefixes) });
    const tokenizer = await loadTokenizer(dir);
    fc.assert(
      fc.property(letters, (text) => {
        const expected = text === '' ? [] : joinPieces(prefixes ? ` ${text}` : text);
        expect([...tokenizer.encode(text)]).toEqual([1, ...expected]);
        const plain = !text.includes(SPACE);
        if (plain) expect(tokenizer.decode([...tokenizer.encode(text)], false)).toBe(text);
      }),
      { numRuns: runs(500) },
    );
    // What is special or the user's own is found first.
    const space = prefixes ? ' ' : '';
    expect([...tokenizer.encode('ab<b>ab</s>c')]).toEqual([
      ...[1, ...joinPieces(`${space}ab`), idOf('<b>')],
      ...[...joinPieces(`${space}ab`), 2, ...joinPieces(`${space}c`)],
    ]);
  });

  test('by default a space comes before the text and BOS before that, as in llama.cpp', async () => {
    const tokenizer = await loadTokenizer(await twinOf(piecePairs()));
    expect([...tokenizer.encode('c')]).toEqual([1, idOf(SPACE), idOf('c')]);
    const both = { add_bos_token: value('bool', false), add_eos_token: value('bool', true) };
    const other = await loadTokenizer(await twinOf({ ...piecePairs(), ...both }));
    expect([...other.encode('c')]).toEqual([idOf(SPACE), idOf('c'), 2]);
  });

  test('scores that are missing, too few, infinite; another way to cut; pieces that are too long', async () => {
    const tokens = vocabulary;
    const broken = (scores: Pair | undefined) => twinOf({ ...piecePairs(), scores });
    await expect(broken(undefined)).rejects.toMatchObject({ code: 'E_CHECKPOINT_GGUF' });
    await expect(broken(list('f32', [1]))).rejects.toThrow(/a score for each of/);
    await expect(
      broken(
        list(
          'f32',
          tokens.map(() => Number.NaN),
        ),
      ),
    ).rejects.toThrow(/a score for each of/);
    await expect(twinOf({ ...piecePairs(), pre: value('text', 'llama-bpe') })).rejects.toThrow(
      /default for SentencePiece/,
    );
    const long = [...tokens, ['x'.repeat(257), NORMAL, -1] as const];
    await expect(twinOf(piecePairs(long))).rejects.toThrow(/pieces of at most 256 characters/);
    expect(await twinOf(piecePairs([...tokens, ['x'.repeat(257), USER_DEFINED, -1]]))).toBeTruthy();
  });
});

describe('byte-level BPE', () => {
  const isPlain = (byte: number): boolean => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  const letters = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPlain(byte) ? byte : next++));
  const merged = ['Ġa', '12', '123', 'ab', "'s"];
  const words: readonly Token[] = [
    ...[...letters, ...merged].map((word): Token => [word, NORMAL, 0]),
    ['<|end|>', CONTROL, 0],
    ['<think>', USER_DEFINED, 0],
  ];
  const pairs = (pre: string | undefined): Pairs => ({
    pre: pre === undefined ? undefined : value('text', pre),
    tokens: list(
      'text',
      words.map(([word]) => word),
    ),
    token_type: list(
      'i32',
      words.map(([, type]) => type),
    ),
    merges: list('text', ['Ġ a', '1 2', '12 3', 'a b', "' s"]),
    bos_token_id: value('u32', 261),
  });
  const wordsOf = async (pre: string | undefined, text: string): Promise<string[]> =>
    [...(await loadTokenizer(await twinOf(pairs(pre)))).encode(text, false)].map((id) => words[id]![0]);

  // By the expressions of the models' own tokenizers and, for `default`, of llama.cpp.
  test.each<[pre: string | undefined, digits: string[], rest: string[]]>([
    ['gpt-2', ['123', '12'], ["'s", 'Ġa']],
    ['smollm', ['1', '2', '3', '1', '2'], ["'s", 'Ġa']],
    ['qwen2', ['1', '2', '3', '1', '2'], ["'s", 'Ġa']],
    ['llama-bpe', ['123', '12'], ["'s", 'Ġa']],
    ['default', ['123', '12'], ["'", 's', 'Ġa']],
    [undefined, ['123', '12'], ["'", 's', 'Ġa']],
  ])('%s', async (pre, digits, rest) => {
    expect(await wordsOf(pre, "12312's a<|end|>ab<think>")).toEqual([...digits, ...rest, '<|end|>', 'ab', '<think>']);
  });

  test('BOS is added where the file says so, and for LLaMA 3 unless it says otherwise', async () => {
    const first = async (pre: string, more: Pairs = {}) =>
      (await loadTokenizer(await twinOf({ ...pairs(pre), ...more }))).encode('a')[0];
    const a = letters.indexOf('a');
    expect(await first('gpt-2')).toBe(a);
    expect(await first('gpt-2', { add_bos_token: value('bool', true) })).toBe(261);
    expect(await first('llama-bpe')).toBe(261);
    expect(await first('llama-bpe', { add_bos_token: value('bool', false) })).toBe(a);
  });

  test('the chat template, and all tokens that end a text', async () => {
    const template = "{% for m in messages %}{{ m['content'] }}<|end|>{% endfor %}";
    const more = {
      eos_token_id: value('u32', 261),
      eot_token_id: value('i32', 262),
      padding_token_id: value('i32', -1),
    };
    const dir = await twinOf({ ...pairs('qwen2'), ...more }, { 'tokenizer.chat_template': value('text', template) });
    const language = await loadLanguage(folderTexts(dir));
    expect([language.bos, [...language.eos]]).toEqual([261, [261, 262]]);
    expect(language.chatTemplate).toBeDefined();
    const config = JSON.parse(await readFile(join(dir, 'tokenizer_config.json'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({ chat_template: template, eos_token: '<|end|>', model_max_length: 64 });
    expect(config).not.toHaveProperty('pad_token');
  });

  test('words that an object would move or lose', async () => {
    const odd = [...letters.slice(0, 256), '__proto__', '7'.repeat(3), 'constructor'].map(
      (word): Token => [word, NORMAL, 0],
    );
    const dir = await twinOf({
      ...pairs('gpt-2'),
      tokens: list(
        'text',
        odd.map(([word]) => word),
      ),
      token_type: list(
        'i32',
        odd.map(([, type]) => type),
      ),
      merges: list('text', []),
      bos_token_id: undefined,
    });
    const tokenizer = await loadTokenizer(dir);
    expect(tokenizer.decode([256, 257, 258], false)).toBe('__proto__777constructor');
  });
});
