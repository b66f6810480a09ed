import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { argmax, createSampler, scoreToken } from '../../src/generation/index.js';
import { runs } from '../scale.js';

const row = fc
  .array(fc.oneof(fc.integer({ min: -8, max: 8 }), fc.double({ min: -30, max: 30, noNaN: true })), {
    minLength: 1,
    maxLength: 40,
  })
  .map((values) => Float32Array.from(values));

/** Which tokens may be drawn, likeliest first, by sorting everything; and how close a cut comes to a rounding error. */
function nucleus(logits: Float32Array, temperature: number, topP: number, topK: number | undefined, minP: number) {
  const ranked = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b).slice(0, topK);
  const weights = ranked.map((i) => Math.exp((logits[i]! - logits[ranked[0]!]!) / temperature));
  const total = weights.reduce((sum, one) => sum + one, 0);
  const kept: number[] = [];
  let [mass, margin] = [0, Number.POSITIVE_INFINITY];
  for (const [i, id] of ranked.entries()) {
    if (i > 0 && (mass / total >= topP || weights[i]! < minP)) break;
    kept.push(id);
    mass += weights[i]!;
    if (topP < 1) margin = Math.min(margin, Math.abs(mass / total - topP));
  }
  return { kept, weights: weights.slice(0, kept.length), mass, margin };
}

describe('createSampler', () => {
  test('temperature 0 is the largest logit, the lowest token of equals', () => {
    fc.assert(
      fc.property(row, (logits) => {
        const token = createSampler({ temperature: 0, topP: 0.5, topK: 2, seed: 3 })(logits);
        expect(token).toBe([...logits].indexOf(Math.max(...logits)));
      }),
      { numRuns: runs(100) },
    );
  });

  test('draws by inverting the distribution of the sorted nucleus', () => {
    fc.assert(
      fc.property(
        row,
        fc.double({ min: 0.05, max: 3, noNaN: true }),
        fc.oneof(fc.constant(1), fc.double({ min: 0, max: 0.999, noNaN: true })),
        fc.option(fc.integer({ min: 1, max: 45 }), { nil: undefined }),
        fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true })),
        fc.nat(),
        (logits, temperature, topP, topK, minP, seed) => {
          const { kept, weights, mass, margin } = nucleus(logits, temperature, topP, topK, minP);
          // Where nothing is cut, tokens are drawn in the order of their ids: the next test's.
          fc.pre(margin > 1e-9 && (topP < 1 || minP > 0 || (topK !== undefined && topK < logits.length)));
          const sampler = createSampler({ temperature, topP, topK, minP, seed });
          const rng = createRng(seed);
          for (let draw = 0; draw < 8; draw++) {
            const token = sampler(logits);
            expect(kept).toContain(token);
            const threshold = rng.uniform() * mass;
            const at = kept.indexOf(token);
            const below = weights.slice(0, at).reduce((sum, one) => sum + one, 0);
            expect(below).toBeLessThanOrEqual(threshold + 1e-9 * mass);
            expect(below + weights[at]!).toBeGreaterThanOrEqual(threshold - 1e-9 * mass);
          }
        },
      ),
      { numRuns: runs(500) },
    );
  });

  test('the frequencies are the softmax’s', () => {
    const logits = Float32Array.from([1, 0, 2, -1]);
    const weights = [...logits].map((x) => Math.exp(x / 0.7));
    const total = weights.reduce((sum, one) => sum + one, 0);
    for (const topP of [1, 0.9999]) {
      const sampler = createSampler({ temperature: 0.7, topP, seed: 11 });
      const counts = [0, 0, 0, 0];
      for (let i = 0; i < 20_000; i++) counts[sampler(logits)]!++;
      for (const [i, weight] of weights.entries()) expect(counts[i]! / 20_000).toBeCloseTo(weight / total, 1);
      const chi2 = weights.reduce((sum, weight, i) => {
        const expected = (20_000 * weight) / total;
        return sum + (counts[i]! - expected) ** 2 / expected;
      }, 0);
      expect(chi2).toBeLessThan(16.3); // 3 degrees of freedom, 0.1 %
    }
  });

  test('the same seed draws the same, another draws otherwise', () => {
    const logits = Float32Array.from({ length: 100 }, (_, i) => Math.sin(i));
    const draw = (seed: number) => {
      const sampler = createSampler({ temperature: 1, topP: 0.95, seed });
      return Array.from({ length: 20 }, () => sampler(logits));
    };
    expect(draw(5)).toEqual(draw(5));
    expect(draw(5)).not.toEqual(draw(6));
  });

  test.each([
    [[1, Number.NaN, 2]],
    [[Number.NaN]],
    [[Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]],
    [[0, Number.POSITIVE_INFINITY]],
  ])('%o is refused', (values) => {
    const logits = Float32Array.from(values);
    for (const temperature of [0, 1]) {
      expect(() => createSampler({ temperature, topP: 0.9, seed: 0 })(logits)).toThrowError(
        expect.objectContaining({ code: 'E_NUMERIC_LOGITS' }),
      );
    }
  });

  test('a token that is ruled out is never drawn', () => {
    const logits = Float32Array.from([Number.NEGATIVE_INFINITY, 0, Number.NEGATIVE_INFINITY]);
    for (const topP of [1, 0.5]) {
      const sampler = createSampler({ temperature: 2, topP, seed: 1 });
      for (let i = 0; i < 50; i++) expect(sampler(logits)).toBe(1);
    }
  });
});

describe('scoreToken', () => {
  test('log-softmax in f64, the likeliest in order, equal bits for the same token', () => {
    fc.assert(
      fc.property(row, fc.nat(), fc.integer({ min: 0, max: 50 }), (logits, at, count) => {
        const token = at % logits.length;
        const { logprob, top } = scoreToken(logits, token, count);
        const naive = Math.log(Math.exp(logits[token]!) / [...logits].reduce((sum, one) => sum + Math.exp(one), 0));
        expect(logprob).toBeCloseTo(naive, 9);
        const ranked = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b).slice(0, count);
        expect(top.map((one) => one.token)).toEqual(ranked);
        for (const one of top) expect(one.logprob).toBe(scoreToken(logits, one.token, 0).logprob);
        if (count > 0) expect(top[0]!.token).toBe(argmax(logits));
      }),
      { numRuns: runs(100) },
    );
  });
});
