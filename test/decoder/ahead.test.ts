// The choice whether kernels ask for memory ahead, from the times of passes.

import { expect, test } from 'vitest';
import { chooseAhead } from '../../src/decoder/wasm/ahead.js';

/** Runs passes that take the time of their kind, growing a little; returns what each did. */
function run(choice: ReturnType<typeof chooseAhead>, passes: number, times: { on: number; off: number }, tokens = 1) {
  return Array.from({ length: passes }, (_, i) => {
    const ahead = choice.next();
    choice.took({ tokens, picked: 1, ahead }, (ahead ? times.on : times.off) + 0.01 * i);
    return ahead;
  });
}

test.each([
  ['with', true, { on: 10, off: 11 }],
  ['without', false, { on: 11, off: 10 }],
])('the faster one stays: %s', (_, faster, times) => {
  const choice = chooseAhead('measure');
  const first = run(choice, 16, times);
  // Four passes of warming, then six of each in turn.
  expect(first.slice(4)).toEqual([1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1].map(Boolean));
  expect(run(choice, 8, { on: 1, off: 1 })).toEqual(Array(8).fill(faster));
});

test('passes of many tokens do not count, and those of another size start again', () => {
  const choice = chooseAhead('measure');
  run(choice, 15, { on: 11, off: 10 });
  run(choice, 30, { on: 1, off: 2 }, 128);
  run(choice, 11, { on: 10, off: 11 }, 2);
  const turns = new Set(run(choice, 2, { on: 10, off: 11 }, 2));
  expect(turns.has(true)).toBe(true);
  expect(run(choice, 8, { on: 99, off: 1 })).toEqual(Array(8).fill(true));
});

test('it can be told', () => {
  expect(run(chooseAhead('always'), 30, { on: 2, off: 1 })).toEqual(Array(30).fill(true));
  expect(run(chooseAhead('never'), 30, { on: 1, off: 2 })).toEqual(Array(30).fill(false));
});
