import { expect, test } from 'vitest';
import { summarise } from '../../src/evaluate/index.js';
import { pairedInterval, verdictOf } from '../../src/records/index.js';

test('perplexity is exp of the mean of window means, and the first token of a window is not scored', () => {
  const evaluation = summarise([Math.log(10), Math.log(40)], { rows: 255 });
  expect(evaluation.perplexity).toBeCloseTo(20, 10);
  expect(evaluation).toMatchObject({ windows: 2, tokens: 510 });
});

test('the paired interval is narrow where the windows agree, whatever their spread', () => {
  const b = [1, 5, 2, 8, 3];
  const a = b.map((value) => value - 0.1);
  const [low, high] = pairedInterval(a, b);
  expect(low).toBeCloseTo(Math.exp(-0.1), 10);
  expect(high).toBeCloseTo(Math.exp(-0.1), 10);
  expect(verdictOf([low, high])).toBe('better');
});

test('a difference inside the noise is a tie', () => {
  const interval = pairedInterval([1, 2, 3, 4], [1.5, 1.5, 3.5, 3.5]);
  expect(interval[0]).toBeLessThan(1);
  expect(interval[1]).toBeGreaterThan(1);
  expect(verdictOf(interval)).toBe('tie');
  expect(verdictOf([1.01, 1.2])).toBe('worse');
});
