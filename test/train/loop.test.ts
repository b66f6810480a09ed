// The loop on a problem of two numbers: it finds the minimum, keeps the best state, stops early, names divergence, and goes on
// after an interruption at any scoring as if there had been none.

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { type LoopSettings, type Problem, train } from '../../src/train/loop.js';
import { keptParameter } from '../../src/train/parameter.js';
import { PATIENCE } from '../../src/train/watch.js';
import { makeFolder } from '../api/make.js';
import { codeOf } from '../checkpoint/make.js';

/** ‖w − (1, −2)‖² + 0.1; the third number is a zero that stays. `judge` is the validation loss. */
function problemOf(judge?: (loss: number, call: number) => number, stopAt = Number.POSITIVE_INFINITY): Problem {
  const parameter = keptParameter('w', Float32Array.of(3, 3, 0), { zeros: 'stay', decays: false });
  const target = [1, -2, 5];
  let calls = 0;
  const loss = (): number => parameter.values().reduce((sum, w, i) => sum + (w - target[i]!) ** 2, 0.1);
  return {
    what: 'toy',
    diverges: (start) => 3 * start,
    parameters: [parameter],
    gradient: async (step) => {
      if (step === stopAt) throw new Error('killed');
      const w = parameter.values();
      return { loss: loss(), gradients: new Map([['w', w.map((x, i) => 2 * (x - target[i]!))]]) };
    },
    validate: async () => (judge ? judge(loss(), calls++) : loss()),
  };
}

const settingsOf = (path: string, more: Partial<LoopSettings> = {}): LoopSettings => ({
  ...{ steps: 60, rate: 0.2, scorings: 6, decay: 0, path, onProgress: silent, ...more },
});
const valuesOf = ({ parameters }: Problem): readonly number[] => [...parameters[0]!.values()];

test('lowers the loss, keeps the zero, and leaves one file', async () => {
  const folder = await makeFolder();
  const problem = problemOf();
  const curve = await train(problem, settingsOf(join(folder, 'a')));
  const [x, y, zero] = valuesOf(problem);
  expect(Math.abs(x! - 1) + Math.abs(y! + 2)).toBeLessThan(0.2);
  expect(zero).toBe(0);
  expect(curve).toMatchObject({ steps: 60, taken: 60, ended: 'done' });
  expect(curve.validation.map(({ step }) => step)).toEqual([0, 10, 20, 30, 40, 50, 60]);
  expect(curve.training).toHaveLength(6);
  expect(await readdir(folder)).toEqual(['a.done']);
  const again = problemOf();
  expect(await train(again, settingsOf(join(folder, 'a')))).toEqual(curve);
  expect(valuesOf(again)).toEqual(valuesOf(problem));
});

test.each([1, 10, 11, 25, 39, 40, 59])('an interruption at step %i changes nothing', async (stopAt) => {
  const folder = await makeFolder();
  const whole = problemOf();
  const expected = await train(whole, settingsOf(join(folder, 'whole')));
  const path = join(folder, 'part');
  await expect(train(problemOf(undefined, stopAt), settingsOf(path))).rejects.toThrow('killed');
  const problem = problemOf();
  expect(await train(problem, settingsOf(path))).toEqual(expected);
  expect(valuesOf(problem)).toEqual(valuesOf(whole));
});

test('the best state is kept, and training ends when nothing better comes', async () => {
  const folder = await makeFolder();
  // The judge's best is at its third look, step 20.
  const judged = problemOf((_, call) => (call < 3 ? 1 - 0.1 * call : 1));
  const curve = await train(judged, settingsOf(join(folder, 'a'), { scorings: 12, steps: 120 }));
  expect(curve).toMatchObject({ best: { step: 20 }, taken: 10 * (2 + PATIENCE), ended: 'early' });
  const half = problemOf((_, call) => 1 + 0.1 * call);
  await train(half, settingsOf(join(folder, 'c')));
  expect(valuesOf(half)).toEqual([3, 3, 0]); // nothing was better than the start
});

test('divergence has a name, and the next run ends with the best state', async () => {
  const folder = await makeFolder();
  const judge = (loss: number, call: number): number => (call < 3 ? loss : Number.NaN);
  const path = join(folder, 'a');
  expect(await codeOf(train(problemOf(judge), settingsOf(path)))).toBe('E_NUMERIC_DIVERGED');
  const after = problemOf(judge);
  const curve = await train(after, settingsOf(path));
  expect(curve).toMatchObject({ ended: 'diverged', taken: 20, best: { step: 20 } });
  expect(valuesOf(after)[0]).toBeLessThan(3);
  expect(await readdir(folder)).toEqual(['a.done']);
  expect(
    await codeOf(
      train(
        problemOf((loss, call) => loss * (call === 0 ? 1 : 50)),
        settingsOf(join(folder, 'b')),
      ),
    ),
  ).toBe('E_NUMERIC_DIVERGED');
  expect(
    await codeOf(
      train(
        problemOf(() => Number.NaN),
        settingsOf(join(folder, 'c')),
      ),
    ),
  ).toBe('E_NUMERIC_LOSS');
});

test('a gradient that is no number is divergence', async () => {
  const problem = problemOf();
  const broken: Problem = {
    ...problem,
    gradient: async (step) => {
      const made = await problem.gradient(step);
      if (step === 14) made.gradients.get('w')![1] = Number.POSITIVE_INFINITY;
      return made;
    },
  };
  const path = join(await makeFolder(), 'a');
  expect(await codeOf(train(broken, settingsOf(path)))).toBe('E_NUMERIC_DIVERGED');
  expect(valuesOf(problem).every(Number.isFinite)).toBe(true);
});
