// Prefix trees in batches: whatever is packed, every sequence is a path from a root, sees exactly its own tokens, and its
// scored tokens are where they should be.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EncodedRequest, type PrefixTreeBatch, packPrefixTrees } from '../../src/zeroshot/index.js';
import { runs } from '../scale.js';

const sequence = (tokens: readonly number[], scored: number): EncodedRequest => ({
  input: Int32Array.from(tokens),
  targets: new Int32Array(scored),
  cut: 'nothing',
});

/** Tokens of few kinds, so that many sequences begin alike; several items of several sequences. */
const anyItems = fc.array(
  fc.array(
    fc
      .array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 12 })
      .chain((tokens) => fc.integer({ min: 1, max: tokens.length }).map((scored) => sequence(tokens, scored))),
    { minLength: 1, maxLength: 5 },
  ),
  { minLength: 1, maxLength: 12 },
);

/** The places that the token at `place` of a row sees, by the rule of the attention mask. */
const seenBy = (batch: PrefixTreeBatch, row: number, place: number): number[] =>
  Array.from({ length: place + 1 }, (_, j) => j).filter((j) => place < batch.subtreeEnds[row]![j]!);

function check(
  items: readonly (readonly EncodedRequest[])[],
  treeTokens: number,
  batchTokens: number,
  longBeyond = Number.POSITIVE_INFINITY,
): readonly PrefixTreeBatch[] {
  const batches = packPrefixTrees(items, { treeTokens, batchTokens, longBeyond });
  const all = items.flat();
  const found = new Set<number>();
  for (const batch of batches) {
    const T = batch.rows.length;
    const lengths = batch.scored.map(({ sequence: number }) => all[number]!.input.length);
    expect(batch.longest).toBe(Math.max(...lengths));
    expect(new Set(lengths.map((length) => length > longBeyond)).size).toBe(1);
    for (const { sequence: number, places } of batch.scored) {
      expect(found.has(number)).toBe(false);
      found.add(number);
      const { input, targets } = all[number]!;
      expect(places.length).toBe(targets.length);
      for (const [i, at] of places.entries()) {
        const row = Math.floor(at / T);
        const seen = seenBy(batch, row, at % T);
        // What the token sees is the sequence up to it, in order, at depths 0, 1, 2 …
        const own = input.length - targets.length + i + 1;
        expect(seen.map((j) => batch.rows.windows[row]![j])).toEqual([...input.subarray(0, own)]);
        expect(seen.map((j) => batch.depths[row]![j])).toEqual(seen.map((_, depth) => depth));
      }
    }
  }
  expect([...found].sort((a, b) => a - b)).toEqual(all.map((_, i) => i));
  return batches;
}

describe('plantForests', () => {
  test('every sequence sees itself and nothing else', () => {
    fc.assert(
      fc.property(
        anyItems,
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 12 }),
        (items, tree, batch, longBeyond) => void check(items, tree, batch, longBeyond),
      ),
      { numRuns: runs(100) },
    );
  });

  test('what sequences share is there once', () => {
    const trunk = [1, 2, 3, 4, 5, 6, 7];
    const items = [[sequence([...trunk, 8], 1), sequence([...trunk, 9, 9], 2), sequence(trunk, 1), sequence(trunk, 1)]];
    const [batch] = check(items, 100, 1000);
    expect(batch!.rows).toEqual({ length: 10, windows: [expect.anything()] });
  });

  test('a tree that grows too large is continued in another', () => {
    const trunk = [1, 2, 3, 4];
    const [batch] = check([[sequence([...trunk, 5, 5], 2), sequence([...trunk, 6, 6], 2)]], 7, 1000);
    expect(batch!.rows.windows.length).toBe(2);
  });

  test('small trees fill what large ones leave, and a full batch is followed by another', () => {
    const line = (length: number, first: number) => [
      sequence(
        Array.from({ length }, (_, i) => first + i),
        1,
      ),
    ];
    const items = [line(2, 10), line(10, 20), line(4, 40), line(7, 50), line(6, 60)];
    expect(check(items, 100, 1000).map(({ rows }) => [rows.length, rows.windows.length])).toEqual([[10, 3]]);
    expect(check(items, 100, 17).map(({ rows }) => [rows.length, rows.windows.length])).toEqual([
      [10, 2],
      [6, 2],
    ]);
  });
});
