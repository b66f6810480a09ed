import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createDetokeniser, createStopFilter, createTextStream } from '../../src/generation/index.js';
import { type Codec, loadTokenizer } from '../../src/text/index.js';
import { runs } from '../scale.js';
import { makeSentencePiece } from '../text/sentence-piece.js';

const demo = await loadTokenizer(fileURLToPath(new URL('../../demo/model', import.meta.url)));
const codecs: readonly (readonly [string, Codec])[] = [
  ['byte-level', demo],
  ['SentencePiece', makeSentencePiece()],
];

/** The text piece by piece, and at the end. */
function pieces(codec: Codec, tokens: readonly number[], context: readonly number[] = []): string[] {
  const detokeniser = createDetokeniser(codec, context);
  return [...tokens.map((token) => detokeniser.push(token)), detokeniser.flush()];
}

describe.each(codecs)('createDetokeniser, %s', (_, codec) => {
  const anyTokens = fc.array(fc.nat({ max: codec.vocabularySize - 1 }), { maxLength: 120 });
  const text = fc.string({ unit: 'grapheme', maxLength: 60 });

  test('any tokens at all: the pieces are the text', () => {
    fc.assert(
      fc.property(anyTokens, (tokens) => {
        expect(pieces(codec, tokens).join('')).toBe(codec.decodeSoFar(tokens));
      }),
      { numRuns: runs(300) },
    );
  });

  test('after a context: the pieces are what the text has more', () => {
    fc.assert(
      fc.property(text, anyTokens, (before, tokens) => {
        const context = [...codec.encode(before)];
        expect(codec.decodeSoFar(context) + pieces(codec, tokens, context).join('')).toBe(
          codec.decodeSoFar([...context, ...tokens]),
        );
      }),
      { numRuns: runs(300) },
    );
  });

  test('never half a character: of a text that is one, no piece has U+FFFD', () => {
    fc.assert(
      fc.property(
        text.filter((one) => !one.includes('\ufffd')),
        (one) => {
          const told = pieces(codec, [...codec.encode(one, false)]);
          expect(told.some((piece) => piece.includes('\ufffd'))).toBe(false);
          for (const piece of told) expect(piece).not.toMatch(/[\ud800-\udbff]$/); // no half of a surrogate pair
        },
      ),
      { numRuns: runs(100) },
    );
  });
});

test('bytes that never become a character come out, and cost no more the longer they last', () => {
  const lone = Array.from({ length: demo.vocabularySize }, (_, id) => id).find(
    (id) => demo.tokenBytes(id)[0] === 0x80,
  )!;
  const tokens = new Array<number>(2000).fill(lone);
  const longest: number[] = [];
  const counting: Codec = {
    ...demo,
    decodeSoFar: (window) => {
      longest.push(window.length);
      return demo.decodeSoFar(window);
    },
  };
  expect(pieces(counting, tokens).join('')).toBe('\ufffd'.repeat(2000));
  expect(Math.max(...longest)).toBeLessThan(40);
});

const stopsOf = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 }), {
  maxLength: 3,
});
const chunksOf = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 }), { maxLength: 12 });

describe('createStopFilter', () => {
  const run = (stops: readonly string[], chunks: readonly string[]) => {
    const filter = createStopFilter(stops);
    const shown: string[] = [];
    for (const chunk of chunks) {
      const { text, stopped } = filter.push(chunk);
      shown.push(text);
      if (stopped) return { shown, stopped };
    }
    return { shown: [...shown, filter.flush()], stopped: false };
  };

  test('ends before the stop string that is complete first, whatever the pieces', () => {
    fc.assert(
      fc.property(stopsOf, chunksOf, (stops, chunks) => {
        const whole = chunks.join('');
        const ends = Array.from({ length: whole.length + 1 }, (_, end) =>
          stops.filter((stop) => whole.slice(0, end).endsWith(stop)).map((stop) => end - stop.length),
        );
        const starts = ends.find((some) => some.length > 0);
        const { shown, stopped } = run(stops, chunks);
        expect(stopped).toBe(starts !== undefined);
        expect(shown.join('')).toBe(starts ? whole.slice(0, Math.min(...starts)) : whole);
      }),
      { numRuns: runs(1000) },
    );
  });

  test('holds back no more than it must: all but the longest beginning of a stop string', () => {
    fc.assert(
      fc.property(stopsOf, chunksOf, (stops, chunks) => {
        const filter = createStopFilter(stops);
        let [given, shown] = ['', ''];
        for (const chunk of chunks) {
          const { text, stopped } = filter.push(chunk);
          if (stopped) return;
          given += chunk;
          shown += text;
          const held = given.slice(shown.length);
          expect(held === '' || stops.some((stop) => stop.startsWith(held))).toBe(true);
        }
      }),
      { numRuns: runs(100) },
    );
  });
});

test('a text stream counts all text, and shows none of a stop string that tokens share', () => {
  const tokens = [...demo.encode('Once upon a time. The end')];
  const stream = createTextStream(demo, [], ['time. T']);
  let shown = '';
  for (const [i, token] of tokens.entries()) {
    expect(stream.length).toBe(demo.decode(tokens.slice(0, i)).length);
    const { text, stopped } = stream.push(token);
    shown += text;
    if (stopped) break;
  }
  expect(shown).toBe('Once upon a ');
});
