import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { LayerwiseError } from '../../src/base/index.js';
import { unzipLines } from '../../src/text/gzip.js';
import { checkVocabulary, loadTokenizer, makeWindows, readCorpus, tokenizeCorpus } from '../../src/text/index.js';
import { runs } from '../scale.js';
import { sharedPath, testWith } from '../shared.js';

const scratch = mkdtempSync(join(tmpdir(), 'layerwise-text-'));
afterAll(() => rmSync(scratch, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(scratch, name);
  writeFileSync(path, content);
  return path;
}

describe('readCorpus', () => {
  test('.txt as it is, without its byte-order mark', async () => {
    expect((await readCorpus(file('a.txt', '\uFEFFhello\nworld'))).text).toBe('hello\nworld');
  });

  test('.jsonl and .parquet documents are joined by an empty line', async () => {
    const jsonl = file('a.jsonl', '{"text":"one"}\n\n{"text":"two","id":2}\n');
    expect((await readCorpus(jsonl)).text).toBe('one\n\ntwo');
    const parquet = fileURLToPath(new URL('../golden/text/documents.parquet', import.meta.url));
    expect((await readCorpus(parquet)).text).toBe('First document.\n\nZweites Dokument, ÄÖÜ.\n\nthird\nwith two lines');
  });

  test.each([
    ['empty.txt', '', 'E_TEXT_EMPTY', /got none/],
    ['blank.txt', ' \n\t\n', 'E_TEXT_EMPTY', /got none/],
    ['latin1.txt', Uint8Array.from([0x68, 0x69, 0xe9, 0x21]), 'E_TEXT_ENCODING', /byte 2 \(0xe9\)/],
    ['start.txt', Uint8Array.from([0xff, 0x68]), 'E_TEXT_ENCODING', /byte 0 \(0xff\)/],
    ['deep.txt', Uint8Array.from([0x68, 0xf0, 0x9f, 0x98, 0x68]), 'E_TEXT_ENCODING', /byte 1 \(0xf0\)/],
    ['cut.txt', Uint8Array.from([0x68, 0xc3, 0xa9, 0xc3]), 'E_TEXT_ENCODING', /byte 3 \(0xc3\)/],
    ['bad.jsonl', '{"text":"one"}\n{"txt":"two"}\n', 'E_TEXT_JSONL', /line 2.*"text"/],
    ['worse.jsonl', '{"text":"one"}\n[oops\n', 'E_TEXT_JSONL', /line 2/],
    ['bad.parquet', 'PAR1 this is not one', 'E_TEXT_PARQUET', /Parquet/],
    ['bad.jsonl.gz', 'not gzipped', 'E_TEXT_GZIP', /gzip/],
    ['half.json.gz', gzipSync('{"text":"one"}\n').subarray(0, 20), 'E_TEXT_GZIP', /gzip/],
    ['latin1.json.gz', gzipSync(Buffer.from('{"text":"\xe9"}\n', 'latin1')), 'E_TEXT_ENCODING', /UTF-8/],
    ['bad.json.gz', gzipSync('{"text":"one"}\n{}\n'), 'E_TEXT_JSONL', /line 2/],
    ['a.docx', 'x', 'E_OPTION_TEXT_FORMAT', /\.txt, \.jsonl, \.parquet/],
  ])('%s is refused', async (name, content, code, message) => {
    const failure = await readCorpus(file(name, content)).catch((error) => error);
    expect(failure).toBeInstanceOf(LayerwiseError);
    expect(failure.code).toBe(code);
    expect(failure.message).toMatch(message);
  });

  test('what is no text is refused with its place, in Parquet and in JSON as in .txt, and not mended', async () => {
    const parquet = fileURLToPath(new URL('../golden/text/latin1.parquet', import.meta.url));
    await expect(readCorpus(parquet)).rejects.toMatchObject({ code: 'E_TEXT_ENCODING', facts: { row: 1 } });
    await expect(readCorpus(parquet)).rejects.toThrow(/row 1, "text".*byte 7 \(0xe9\) does not fit UTF-8/);
    const surrogate = '{"text":"one"}\n{"text":"a\\ud83d b"}\n';
    for (const path of [file('half.jsonl', surrogate), file('surrogate.jsonl.gz', gzipSync(surrogate))]) {
      await expect(readCorpus(path)).rejects.toMatchObject({ code: 'E_TEXT_ENCODING', facts: { line: 2 } });
      await expect(readCorpus(path)).rejects.toThrow(/line 2, "text".*\\ud83d, a lone surrogate, at character 1/);
    }
    // A whole pair is a character, and a byte-order mark inside a document is one of its characters.
    expect((await readCorpus(file('pair.jsonl', '{"text":"\\ud83d\\ude00\\ufeff"}'))).text).toBe('😀\ufeff');
    const lines = Buffer.from('{"text":"one"}\n{"text":"two"}\n{"text":"\xe9"}\n', 'latin1');
    await expect(readCorpus(file('line.jsonl.gz', gzipSync(lines)))).rejects.toMatchObject({ facts: { line: 3 } });
  });

  test('a Git LFS pointer is not the text', async () => {
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n';
    for (const name of ['lfs.txt', 'lfs.jsonl', 'lfs.parquet', 'lfs.jsonl.gz']) {
      await expect(readCorpus(file(name, pointer))).rejects.toMatchObject({ code: 'E_TEXT_LFS' });
    }
  });

  test('gzipped lines; a selection names the column, how documents are joined, and which', async () => {
    const lines = Array.from({ length: 9 }, (_, i) => `{"text":"t${i}","title":"ä${i}"}`).join('\n');
    const gz = file('a.json.gz', gzipSync(lines));
    const whole = await readCorpus(gz);
    expect(whole.text.split('\n\n')).toEqual(Array.from({ length: 9 }, (_, i) => `t${i}`));
    const some = await readCorpus(gz, { column: 'title', separator: ' ', documents: [2, 4] });
    expect(some.text).toBe('ä2 ä3');
    expect(some.hash).not.toBe((await readCorpus(gz, { documents: [2, 4] })).hash);
    expect((await readCorpus(file('a.jsonl', lines), { documents: [8, 20] })).text).toBe('t8');
    const parquet = fileURLToPath(new URL('../golden/text/sentences.parquet', import.meta.url));
    expect((await readCorpus(parquet, { column: 'sentence', documents: [0, 1] })).text).toBe(
      "no it was n't black monday",
    );
    await expect(readCorpus(parquet)).rejects.toMatchObject({ code: 'E_TEXT_PARQUET' });
  });

  test('a small file cannot become a large one', async () => {
    const bomb = gzipSync(Buffer.alloc(10 << 20, 0x20));
    expect(bomb.length).toBeLessThan(20_000);
    await expect(unzipLines(bomb, 'bomb.json.gz', 1 << 20)).rejects.toMatchObject({ code: 'E_TEXT_LARGE' });
  });

  test('only the lines that are wanted are inflated', async () => {
    const head = gzipSync(`${'{"text":"one"}\n'.repeat(20_000)}`);
    const damaged = Buffer.concat([head.subarray(0, head.length - 12), Buffer.from('and then nonsense')]);
    expect((await readCorpus(file('head.json.gz', damaged), { documents: [0, 2] })).text).toBe('one\n\none');
  });

  test('a file that is not there is named', async () => {
    await expect(readCorpus(join(scratch, 'none.txt'))).rejects.toThrowError(
      expect.objectContaining({ code: 'E_RESOURCE_NOT_FOUND', message: expect.stringContaining('none.txt') }),
    );
  });

  test('damaged Parquet never gets out as another error', async () => {
    const good = readFileSync(new URL('../golden/text/documents.parquet', import.meta.url));
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: good.length - 1 }), fc.integer({ min: 0, max: 255 }), async (at, byte) => {
        const damaged = Buffer.from(good);
        damaged[at] = byte;
        const result = await readCorpus(file('damaged.parquet', damaged)).catch((error) => error);
        expect(typeof result.text === 'string' || result instanceof LayerwiseError).toBe(true);
      }),
      { numRuns: runs(200) },
    );
  });
});

describe('makeWindows', () => {
  const tokens = Int32Array.from({ length: 103 }, (_, i) => i);

  test('all: one after the other, the tail dropped', () => {
    const { windows } = makeWindows(tokens, { length: 10, order: 'all', seed: 0 });
    expect(windows).toHaveLength(10);
    expect([...windows[9]!]).toEqual([90, 91, 92, 93, 94, 95, 96, 97, 98, 99]);
  });

  test('sequential: the first ones', () => {
    const { windows } = makeWindows(tokens, { length: 10, order: 'sequential', count: 3, seed: 5 });
    expect(windows.map((window) => window[0])).toEqual([0, 10, 20]);
  });

  test('random: seeded, whole windows of the stream', () => {
    const draw = (seed: number) => makeWindows(tokens, { length: 10, order: 'random', count: 50, seed }).windows;
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    for (const window of draw(7)) expect(window[9]! - window[0]!).toBe(9);
  });

  test.each([
    ['all', undefined, 9],
    ['random', 5, 9],
    ['sequential', 11, 103],
  ] as const)('%s: too few tokens say how many there are and are needed', (order, count, have) => {
    const options = { length: 10, order, seed: 0, ...(count ? { count } : {}) };
    expect(() => makeWindows(tokens.slice(0, have), options)).toThrowError(
      expect.objectContaining({ code: 'E_OPTION_TEXT_SHORT', message: expect.stringContaining(`${have} tokens`) }),
    );
  });

  describe('with a start token', () => {
    const BOS = 200;
    const cut = (order: 'all' | 'random' | 'sequential', count?: number) =>
      makeWindows(tokens, { length: 10, order, start: BOS, seed: 3, ...(count === undefined ? {} : { count }) })
        .windows;

    test('all and sequential: the token, then the next nine of the text; none is left out or used twice', () => {
      const windows = cut('all');
      expect(windows).toHaveLength(Math.floor(tokens.length / 9));
      for (const [i, window] of windows.entries()) {
        expect([...window]).toEqual([BOS, ...Array.from({ length: 9 }, (_, t) => 9 * i + t)]);
      }
      expect(cut('sequential', 4)).toEqual(windows.slice(0, 4));
    });

    test('random: every place that has nine tokens can come', () => {
      const windows = cut('random', 4000);
      for (const window of windows) {
        expect(window[0]).toBe(BOS);
        expect([...window.subarray(1)]).toEqual(Array.from({ length: 9 }, (_, t) => window[1]! + t));
      }
      expect(Math.min(...windows.map((window) => window[1]!))).toBe(0);
      expect(Math.max(...windows.map((window) => window[9]!))).toBe(tokens.length - 1);
    });

    test('a text that is one token short of a window is refused', () => {
      const make = (count: number) =>
        makeWindows(tokens.slice(0, count), { length: 10, order: 'all', start: BOS, seed: 0 }).windows;
      expect(make(9)).toHaveLength(1);
      expect(() => make(8)).toThrowError(expect.objectContaining({ code: 'E_OPTION_TEXT_SHORT' }));
    });
  });

  test('a token outside the vocabulary is refused', () => {
    const windows = makeWindows(tokens, { length: 10, order: 'all', seed: 0 });
    expect(() => checkVocabulary(windows, 103)).not.toThrow();
    expect(() => checkVocabulary(windows, 99)).toThrowError(expect.objectContaining({ code: 'E_TEXT_VOCABULARY' }));
  });
});

describe('loadTokenizer', () => {
  test.each([
    ['not JSON', '{'],
    ['an array', '[]'],
    ['no model', '{"version":"1.0"}'],
    ['an unknown model', '{"model":{"type":"Magic","vocab":{}}}'],
  ])('%s is refused', async (_, content) => {
    file('tokenizer.json', content);
    await expect(loadTokenizer(scratch)).rejects.toThrowError(expect.objectContaining({ code: 'E_TEXT_TOKENIZER' }));
  });

  test('a directory without one is told what is missing', async () => {
    await expect(loadTokenizer(join(scratch, 'nowhere'))).rejects.toThrowError(/tokenizer\.json beside the weights/);
  });

  const wikitext = sharedPath('data', 'wikitext2', 'test.txt');
  testWith(wikitext, 'WikiText-2')('WikiText-2 has as many tokens as the reference implementation counts', async () => {
    const counts = JSON.parse(readFileSync(sharedPath('data', 'tokenizers', 'counts.json')!, 'utf8'));
    const corpus = await readCorpus(wikitext!);
    for (const [name, count] of Object.entries(counts['wikitext2/test.txt'] as Record<string, number>)) {
      const tokenizer = await loadTokenizer(sharedPath('data', 'tokenizers', name)!);
      expect(tokenizer.encode(corpus.text)).toHaveLength(count);
    }
  });
});

describe('tokenizeCorpus', () => {
  let encoded = 0;
  const tokenizer = {
    vocabularySize: 256,
    hash: 'bytes',
    encode: (text: string) => {
      encoded++;
      return Int32Array.from(Buffer.from(text));
    },
  };

  test('remembers, and makes a damaged memory anew', async () => {
    const cacheDir = join(scratch, 'cache');
    const corpus = await readCorpus(file('c.txt', 'abc'));
    const first = await tokenizeCorpus(tokenizer, corpus, { cacheDir });
    expect(await tokenizeCorpus(tokenizer, corpus, { cacheDir })).toEqual(first);
    expect(encoded).toBe(1);
    const [name] = readdirSync(cacheDir);
    const bytes = readFileSync(join(cacheDir, name!));
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(join(cacheDir, name!), bytes);
    expect(await tokenizeCorpus(tokenizer, corpus, { cacheDir })).toEqual(first);
    expect(encoded).toBe(2);
  });

  test('does without a cache that cannot be written', async () => {
    const corpus = await readCorpus(file('d.txt', 'abc'));
    const cacheDir = join(file('plain-file', 'x'), 'cache');
    expect([...(await tokenizeCorpus(tokenizer, corpus, { cacheDir }))]).toEqual([97, 98, 99]);
  });
});
