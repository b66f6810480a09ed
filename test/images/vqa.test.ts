import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { matchesExactly, normaliseAnswer, scoreVqa } from '../../src/images/index.js';

// Made by scripts/golden/vqa.py with the benchmark's own evaluation.
const golden = JSON.parse(readFileSync(new URL('../golden/images/vqa.json', import.meta.url), 'utf8')) as {
  readonly normalised: readonly (readonly [answer: string, form: string])[];
  readonly accuracy: readonly (readonly [answer: string, human: readonly string[], accuracy: number])[];
};

test('answers take the form that VQA’s evaluation gives them', () => {
  expect(golden.normalised.length).toBeGreaterThan(400);
  expect(golden.normalised.map(([answer]) => [answer, normaliseAnswer(answer)])).toEqual(golden.normalised);
});

test('and its accuracy', () => {
  for (const [answer, human, accuracy] of golden.accuracy) {
    expect(scoreVqa(answer, human), JSON.stringify([answer, human])).toBeCloseTo(accuracy, 9);
  }
});

test('0 to 10 people of the same answer', () => {
  const of = (matches: number): number =>
    scoreVqa(
      'cat',
      Array.from({ length: 10 }, (_, place) => (place < matches ? 'cat' : `dog ${place}`)),
    );
  expect([0, 1, 2, 3, 4, 10].map((matches) => Number(of(matches).toFixed(9)))).toEqual([0, 0.3, 0.6, 0.9, 1, 1]);
});

test('the words of the published rule', () => {
  expect(normaliseAnswer('The Two cats!')).toBe('2 cats');
  expect(normaliseAnswer('I dont know.')).toBe("i don't know");
  expect(normaliseAnswer('1,000 - 2,000')).toBe('1000 2000');
  expect(normaliseAnswer('3.5')).toBe('3.5');
});

test('exact match', () => {
  expect(matchesExactly('A cat.', ['dog', 'cat'])).toBe(true);
  expect(matchesExactly('cats', ['cat'])).toBe(false);
  expect(matchesExactly('cat', [])).toBe(false);
});
