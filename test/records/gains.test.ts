// When the gains of a plan on two texts have parted.

import { describe, expect, test } from 'vitest';
import { type Gain, gainOf, havePartedGains, pairedInterval } from '../../src/records/index.js';

const gain = (nats: number, margin: number): Gain => ({ nats, interval: [nats - margin, nats + margin] });

test('a gain is the logarithm of the ratio of perplexities, and its interval that of the ratio, turned round', () => {
  const [plan, uniform] = [
    [3.1, 2.9, 3.4, 2.2],
    [3.2, 3.3, 3.3, 2.6],
  ];
  const { nats, interval } = gainOf(plan!, uniform!);
  expect(nats).toBeCloseTo((0.1 + 0.4 - 0.1 + 0.4) / 4, 12);
  const [low, high] = pairedInterval(plan!, uniform!);
  expect(Math.exp(-interval[1])).toBeCloseTo(low, 12);
  expect(Math.exp(-interval[0])).toBeCloseTo(high, 12);
});

describe('they have parted', () => {
  test.each([
    ['less than half, and little noise', gain(0.1, 0.01), gain(0.03, 0.01), true],
    ['a loss against a gain', gain(0.1, 0.01), gain(-0.1, 0.01), true],
    ['more than half', gain(0.1, 0.01), gain(0.06, 0.01), false],
    ['less than half, but within the noise of the smaller', gain(0.1, 0.01), gain(0.03, 0.03), false],
    ['less than half, but within the noise of the larger', gain(0.1, 0.05), gain(0.03, 0.001), false],
    ['a larger gain that may be none', gain(0.1, 0.11), gain(-0.2, 0.001), false],
    ['two losses', gain(-0.1, 0.01), gain(-0.3, 0.01), false],
    ['equal', gain(0, 0), gain(0, 0), false],
  ])('%s: whichever comes first', (_, a, b, parted) => {
    expect(havePartedGains(a, b)).toBe(parted);
    expect(havePartedGains(b, a)).toBe(parted);
  });
});
