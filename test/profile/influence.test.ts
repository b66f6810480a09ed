import { describe, expect, test } from 'vitest';
import { lastTokens, measureAngles, startAngles, startInfluence } from '../../src/profile/index.js';
import { codeOf } from '../checkpoint/make.js';

describe('block influence', () => {
  test('a golden value by hand: turned by 0, 60 and 90 degrees, lengths of no account', () => {
    const sums = startInfluence(2, 2);
    const half = Math.sqrt(3);
    sums.add(0, Float32Array.of(1, 0, 0, 2), Float32Array.of(3, 0, half, 1));
    sums.add(0, Float32Array.of(5, 0), Float32Array.of(0, 1));
    sums.add(1, Float32Array.of(1, 1), Float32Array.of(-2, -2));
    const [first, second] = sums.result();
    expect(first).toBeCloseTo((0 + 0.5 + 1) / 3, 7);
    expect(second).toBeCloseTo(2, 12);
  });

  test('what is unchanged has none, exactly, whatever its numbers', () => {
    const values = Float32Array.from({ length: 600 }, (_, i) => Math.sin(i) * 10 ** ((i % 9) - 4));
    const sums = startInfluence(1, 6);
    sums.add(0, values, values.slice());
    expect(sums.result()).toEqual([0]);
  });

  test('zeros: unchanged has none, a vector from nothing has 1; numbers that half precision cannot square are fine', () => {
    const sums = startInfluence(3, 2);
    sums.add(0, Float32Array.of(0, 0), Float32Array.of(0, 0));
    sums.add(1, Float32Array.of(0, 0), Float32Array.of(1, 2));
    sums.add(2, Float32Array.of(3e30, 0), Float32Array.of(0, 3e30));
    expect(sums.result()).toEqual([0, 1, 1]);
  });

  test('a residual that is not finite is refused', async () => {
    const sums = startInfluence(1, 2);
    sums.add(0, Float32Array.of(1, Number.NaN), Float32Array.of(1, 2));
    expect(await codeOf(Promise.resolve().then(() => sums.result()))).toBe('E_NUMERIC_INFLUENCE');
  });
});

describe('angular distance', () => {
  test('of last tokens only', () => {
    // Two windows of three tokens, two wide.
    expect(
      lastTokens(
        Float32Array.from({ length: 12 }, (_, i) => i),
        3,
        2,
      ),
    ).toEqual(Float32Array.of(4, 5, 10, 11));
  });

  test('across runs: the mean over windows of the angle, in halves of a turn', () => {
    const levels = [
      Float32Array.of(1, 0, 0, 2),
      Float32Array.of(0, 1, 0, 5),
      Float32Array.of(-3, 0, 0, 1),
      Float32Array.of(-3, 0, 0, 1),
    ];
    expect(measureAngles(levels, 2, 1)).toEqual([0.25, 0.25, 0]);
    expect(measureAngles(levels, 2, 2)).toEqual([0.5, 0.25]);
    expect(measureAngles(levels, 2, 3)).toEqual([0.5]);
  });

  test('kept chunk by chunk they are those of all windows together', () => {
    // Two blocks over three windows of two tokens, two wide; the first chunk has two of them.
    const residuals = Array.from({ length: 3 }, (_, level) =>
      Float32Array.from({ length: 12 }, (_, i) => Math.sin(1 + i + 5 * level)),
    );
    const angles = startAngles(2, 2, { length: 2, windows: [0, 1, 2] });
    for (const block of [0, 1]) {
      const [before, after] = [residuals[block]!, residuals[block + 1]!];
      angles.add(block, before.subarray(0, 8), after.subarray(0, 8));
      angles.add(block, before.subarray(8), after.subarray(8));
    }
    const levels = residuals.map((residual) => lastTokens(residual, 2, 2));
    for (const n of [1, 2]) expect(angles.across(n)).toEqual(measureAngles(levels, 2, n));
  });

  test('cosines that rounding takes past 1 are clamped; a residual that is not finite is refused', async () => {
    const x = Float32Array.of(0.1, 0.3, 0.7);
    const [same] = measureAngles([x, x.map((value) => value * 3)], 3, 1);
    expect(same).toBeGreaterThanOrEqual(0);
    expect(same).toBeLessThan(1e-4);
    const broken = async () => measureAngles([x, Float32Array.of(1, 2, Number.POSITIVE_INFINITY)], 3, 1);
    expect(await codeOf(broken())).toBe('E_NUMERIC_ANGLE');
  });
});
