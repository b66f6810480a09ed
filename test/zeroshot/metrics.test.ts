// What is reported of log-probabilities, against numbers worked out by hand.

import { describe, expect, test } from 'vitest';
import { findTask, type Question } from '../../src/zeroshot/index.js';
import { aggregate, average, pool, scoreItem } from '../../src/zeroshot/metrics.js';
import { lengthPython, rstripPython, stripPython } from '../../src/zeroshot/python.js';

const said = (...sums: number[]) => sums.map((logProbability) => ({ logProbability, tokens: 1, greedy: false }));
const question = (choices: readonly string[], gold: number): Question => ({
  form: 'choices',
  text: 'q',
  choices,
  gold,
});

describe('an item', () => {
  test('acc goes by the sum, acc_norm by the sum per character', () => {
    const long = question(['no', 'a long answer'], 1);
    expect(scoreItem(findTask('piqa'), long, said(-4, -6))).toEqual({ acc: 0, acc_norm: 1 });
    expect(scoreItem(findTask('piqa'), long, said(-4, -3))).toEqual({ acc: 1, acc_norm: 1 });
  });

  test('characters are counted, not UTF-16 units', () => {
    // Four units a side, but two characters against four: −5/2 is below −6/4.
    const moons = question(['🌙🌙', 'moon'], 0);
    expect(scoreItem(findTask('hellaswag'), moons, said(-5, -6))).toEqual({ acc: 1, acc_norm: 0 });
  });

  test('of equal choices the first counts', () => {
    expect(scoreItem(findTask('boolq'), question(['no', 'yes'], 0), said(-1, -1))).toEqual({ acc: 1 });
    expect(scoreItem(findTask('boolq'), question(['no', 'yes'], 1), said(-1, -1))).toEqual({ acc: 0 });
  });

  test('a word is right where greedy decoding says it', () => {
    const word: Question = { form: 'word', text: 'a', word: ' b' };
    const lambada = findTask('lambada_openai');
    expect(scoreItem(lambada, word, [{ logProbability: -2, tokens: 1, greedy: true }])).toEqual({
      perplexity: -2,
      acc: 1,
    });
    expect(scoreItem(lambada, word, said(-0.1))).toEqual({ perplexity: -0.1, acc: 0 });
  });
});

describe('answers', () => {
  const of = (paraphrase: string | undefined): Question => ({
    form: 'answers',
    text: 'q',
    answer: 'a',
    paraphrase,
    perturbed: ['b', 'c'],
  });
  const log = (...pairs: readonly (readonly [p: number, tokens: number])[]) =>
    pairs.map(([p, tokens]) => ({ logProbability: Math.log(p), tokens, greedy: false }));
  const rounded = (scores: object) =>
    Object.fromEntries(Object.entries(scores).map(([name, value]) => [name, Number(value.toFixed(12))]));

  test('with a paraphrase: probabilities per token, the paraphrase against the wrong ones', () => {
    // p̂: answer 1/2, paraphrase 1/4, wrong 1/8 and 1/2.
    const scores = scoreItem(findTask('tofu_forget10'), of('p'), log([1 / 4, 2], [1 / 64, 3], [1 / 8, 1], [1 / 16, 4]));
    expect(rounded(scores)).toEqual({ acc: 0, probability: 0.5, truth_ratio: 1.25 });
  });

  test('without one: the answer’s share among the choices', () => {
    const scores = scoreItem(findTask('tofu_world_facts'), of(undefined), log([1 / 4, 2], [1 / 8, 1], [1 / 8, 1]));
    expect(rounded(scores)).toEqual({ acc: 1, probability: 0.5, truth_ratio: 0.25 });
  });

  test('an answer that is only as likely as a wrong one is not right', () => {
    const scores = scoreItem(findTask('tofu_world_facts'), of(undefined), log([1 / 4, 1], [1 / 4, 1], [1 / 8, 1]));
    expect(scores.acc).toBe(0);
  });
});

describe('many items', () => {
  test('a mean has s / √n, with n − 1', () => {
    const { value, stderr } = aggregate('acc', [1, 0, 1, 1]);
    expect(value).toBe(0.75);
    expect(stderr).toBeCloseTo(0.25, 12); // s² = 0.25
    expect(aggregate('acc', [1])).toEqual({ value: 1, stderr: null });
  });

  test('perplexity and its error', () => {
    const { value, stderr } = aggregate('perplexity', [-1, -3]);
    expect(value).toBeCloseTo(Math.exp(2), 12);
    expect(stderr).toBeCloseTo(Math.exp(2) * 1, 12); // s = √2, n = 2
  });

  test('parts are pooled by their sizes', () => {
    const parts = [
      { estimate: { value: 0.5, stderr: 0.1 }, items: 10 },
      { estimate: { value: 0.8, stderr: 0.2 }, items: 5 },
    ];
    const { value, stderr } = pool(parts);
    expect(value).toBeCloseTo(0.6, 12);
    expect(stderr).toBeCloseTo(Math.sqrt((9 * 10 * 0.01 + 4 * 5 * 0.04) / 13 / 15), 12);
    expect(pool([...parts, { estimate: { value: 1, stderr: null }, items: 1 }]).stderr).toBeNull();
  });

  test('an average of tasks counts each alike', () => {
    const { value, stderr } = average([
      { value: 0.2, stderr: 0.03 },
      { value: 0.6, stderr: 0.04 },
    ]);
    expect(value).toBeCloseTo(0.4, 12);
    expect(stderr).toBeCloseTo(0.025, 12);
  });
});

test('strings are what Python makes of them', () => {
  expect(stripPython('\u0085\x1c a b\u3000\n')).toBe('a b');
  expect(rstripPython(' a\ufeff ')).toBe(' a\ufeff');
  expect(lengthPython('a☾🌙')).toBe(3);
});
