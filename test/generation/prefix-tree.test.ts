// Traversals: every sequence's targets are scored once, in order, each after exactly the sequence's own tokens; a shared
// prefix is read once.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planTraversals, readSteps } from '../../src/generation/prefix-tree.js';
import type { EncodedRequest } from '../../src/zeroshot/index.js';
import { runs } from '../scale.js';

/** Targets are told apart by their numbers: of sequence `name` they are 100 · name + 0, 1, … */
const sequence = (tokens: readonly number[], scored: number, name: number): EncodedRequest => ({
  input: Int32Array.from(tokens),
  targets: Int32Array.from({ length: scored }, (_, i) => 100 * name + i),
  cut: 'nothing',
});

/** Tokens of few kinds, so that many sequences begin alike. */
const anySequences = fc
  .array(
    fc
      .array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 12 })
      .chain((tokens) => fc.tuple(fc.constant(tokens), fc.integer({ min: 1, max: tokens.length }))),
    { minLength: 1, maxLength: 30 },
  )
  .map((all) => all.map(([tokens, scored], name) => sequence(tokens, scored, name)));

/** Reads as a decoder would, with checks; returns how many tokens each traversal read. */
function follow(sequences: readonly EncodedRequest[], count: number, rows: number): number[] {
  const traversals = planTraversals(sequences, count);
  expect(traversals.length).toBeLessThanOrEqual(count);
  const answered = sequences.map(() => 0);
  const reads = traversals.map((traversal) => {
    const read: number[] = [];
    let total = 0;
    for (const { from, tokens, logits, targets } of readSteps(traversal, rows)) {
      expect(from).toBeLessThanOrEqual(read.length);
      expect(tokens.length).toBeGreaterThan(0);
      expect(targets.length).toBe(logits === 'all' ? tokens.length : 1);
      expect(targets.length).toBeLessThanOrEqual(rows);
      read.length = from;
      read.push(...tokens);
      total += tokens.length;
      for (const [row, some] of targets.entries()) {
        expect(some.length).toBeGreaterThan(0);
        const known = read.length - targets.length + row + 1;
        for (const { sequence: one, token } of some) {
          const { input, targets } = sequences[one]!;
          const nth = answered[one]!++;
          expect(token).toBe(targets[nth]);
          expect(read.slice(0, known)).toEqual([...input.subarray(0, input.length - targets.length + nth + 1)]);
        }
      }
    }
    return total;
  });
  expect(answered).toEqual(sequences.map(({ targets }) => targets.length));
  return reads;
}

describe('planTraversals', () => {
  test('every target follows its own tokens', () => {
    const anyCount = fc.integer({ min: 1, max: 5 });
    fc.assert(
      fc.property(anySequences, anyCount, anyCount, (all, count, rows) => void follow(all, count, rows)),
      { numRuns: runs(100) },
    );
  });

  test('one traversal reads each node of the tree of all tokens once', () => {
    fc.assert(
      fc.property(anySequences, (all) => {
        const nodes = new Set(all.flatMap(({ input }) => [...input].map((_, i) => input.slice(0, i + 1).join())));
        expect(follow(all, 1, 100)).toEqual([nodes.size]);
      }),
      { numRuns: runs(100) },
    );
  });

  test('an item: the context once, with the first token of every choice; then the choices', () => {
    const trunk = [5, 5, 5];
    const all = [[...trunk, 7, 8], [...trunk, 6], trunk].map((tokens, i) => sequence(tokens, tokens.length - 2, i));
    const [traversal] = planTraversals(all, 1);
    const steps = [...readSteps(traversal!, 100)].map(({ from, tokens, logits }) => ({ from, tokens, logits }));
    expect(steps).toEqual([
      { from: 0, tokens: trunk, logits: 'last' },
      { from: 3, tokens: [6], logits: 'all' },
      { from: 3, tokens: [7, 8], logits: 'all' },
    ]);
  });

  test('several traversals read about as much as each other', () => {
    const all = Array.from({ length: 40 }, (_, i) => sequence([i, 1, 2, 3, 4], 1, i));
    expect(follow(all, 4, 100)).toEqual([50, 50, 50, 50]);
  });
});
