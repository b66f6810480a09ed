// Log-probabilities from logits, against a twin with Math.exp: rows of any size, far and near, and what is no number.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { scoreToken } from '../../src/generation/index.js';
import { runs } from '../scale.js';

/** ln of a token's probability, its terms added from the smallest on. */
function plainLogprob(logits: Float32Array, token: number): number {
  const largest = Math.max(...logits);
  const terms = [...logits].map((logit) => Math.exp(logit - largest)).sort((a, b) => a - b);
  return logits[token]! - largest - Math.log(terms.reduce((sum, term) => sum + term, 0));
}

describe('the log-probability of a token', () => {
  test('equals its twin to 1e-11, in rows of odd sizes', () => {
    const size = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1000, max: 2100 }));
    const spread = fc.constantFrom(0, 1e-3, 1, 20, 90, 1e4);
    fc.assert(
      fc.property(size, spread, fc.nat({ max: 2 ** 31 }), (count, by, seed) => {
        const rng = createRng(seed);
        const logits = Float32Array.from({ length: count }, () => by * (rng.uniform() - 0.5));
        const token = rng.below(count);
        const expected = plainLogprob(logits, token);
        const distance = Math.abs(scoreToken(logits, token, 0).logprob - expected);
        expect(distance).toBeLessThanOrEqual(1e-11 + 1e-15 * Math.abs(expected));
      }),
      { numRuns: runs(200) },
    );
  });

  test('the largest term is exactly 1, also where the rest is too small to count', () => {
    expect(scoreToken(Float32Array.of(3, -1e30, Number.NEGATIVE_INFINITY), 0, 0).logprob).toBe(0);
    expect(scoreToken(Float32Array.of(5), 0, 0).logprob).toBe(0);
    expect(scoreToken(Float32Array.of(-2, -2), 1, 0).logprob).toBe(-Math.log(2));
  });

  test.each([
    ['NaN', [1, Number.NaN, 0]],
    ['infinity', [1, Number.POSITIVE_INFINITY, 0]],
    ['minus infinity alone', [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]],
  ])('%s is no probability', (_, logits) => {
    expect(scoreToken(Float32Array.from(logits), 0, 0).logprob).toBeNaN();
  });
});
