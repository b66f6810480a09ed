// Sequences scored in forests against the same sequences one by one, each a window of its own, for every family: what a token
// sees, where it stands and what is left of a long context are the same either way.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { openModel } from '../../src/model/index.js';
import { forestsOf, scoreSequences } from '../../src/pipeline/index.js';
import type { EncodedRequest } from '../../src/zeroshot/index.js';
import { forwardLogits } from '../model/forward.js';
import { goldenCases, goldenDir, readGolden } from '../model/golden.js';
import { LOSS } from '../tolerances.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
});
afterAll(() => engine.close());

/** Items whose sequences share beginnings of different lengths, short ones and ones as long as the windows are. */
function itemsOf(windows: readonly Int32Array[]): EncodedRequest[][] {
  const cut = 'nothing' as const;
  const sequence = (tokens: readonly number[], scored: number): EncodedRequest => ({
    input: Int32Array.from(tokens.slice(0, -1)),
    targets: Int32Array.from(tokens.slice(-scored)),
    cut,
  });
  const [first, second] = [[...windows[0]!], [...windows[1]!]];
  const half = Math.floor(first.length / 2);
  return [
    [sequence(first, 3), sequence([...first.slice(0, half), ...second.slice(half)], second.length - half)],
    [sequence(second.slice(0, 4), 2), sequence(second.slice(0, 5), 1), sequence(first.slice(3, 6), 2)],
    [sequence(first.slice(0, half), half - 1)],
  ];
}

describe.each(goldenCases)('%s', (name) => {
  test('forests give what single sequences give', async () => {
    const model = await openModel(goldenDir(name));
    const { windows } = await readGolden(name);
    const items = itemsOf(windows.windows);
    const scored = await scoreSequences(engine, model, undefined, items, forestsOf(model, items), () => {});
    const V = model.config.vocabulary;
    for (const [i, item] of items.entries()) {
      for (const [j, { input, targets }] of item.entries()) {
        const logits = await forwardLogits(engine, model, { length: input.length, windows: [input] });
        let sum = 0;
        let greedy = true;
        for (const [t, target] of targets.entries()) {
          const at = input.length - targets.length + t;
          const row = Array.from(logits.subarray(at * V, (at + 1) * V));
          const largest = Math.max(...row);
          sum += row[target]! - largest - Math.log(row.reduce((z, logit) => z + Math.exp(logit - largest), 0));
          greedy &&= row[target] === largest;
        }
        const got = scored[i]![j]!;
        expect(Math.abs(got.logProbability - sum) / targets.length, `item ${i}, sequence ${j}`).toBeLessThan(LOSS);
        expect(got.greedy).toBe(greedy);
      }
    }
  });
});
