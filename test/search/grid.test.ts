import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Ask, type Point, walkGrid } from '../../src/search/index.js';
import { runs } from '../scale.js';
import { walkThrough } from './walk.js';

const axes = { line: [0, 0.1, 0.2, 0.3], gain: [0, 0.5, 1] };
const bowl = ({ line, gain }: Point): number => (line! - 0.2) ** 2 + (gain! - 0.5) ** 2;

function run(loss: (point: Point) => number, estimate: (point: Point) => number, maxTrials = 6, startsUniform = true) {
  const start = () => walkGrid({ axes, always: ({ gain }) => gain === 0, startsUniform, maxTrials });
  const { best, asked } = walkThrough(start, ({ values, fidelity }) =>
    (fidelity === 'exact' ? loss : estimate)(values),
  );
  const of = (what: Ask['fidelity']): Point[] =>
    asked.filter(({ fidelity }) => fidelity === what).map(({ values }) => values);
  return { point: best, loss: loss(best), exact: of('exact'), guessed: of('surrogate') };
}

describe('a search over a grid', () => {
  test('begins with the first point, asks the surrogate of all, and finds the bottom of a bowl', () => {
    const { point, exact, guessed } = run(bowl, bowl);
    expect(exact[0]).toEqual({ line: 0, gain: 0 });
    expect(guessed).toHaveLength(12);
    expect(point).toEqual({ line: 0.2, gain: 0.5 });
  });

  test('a surrogate that is one step off is corrected by exact trials', () => {
    const off = ({ line, gain }: Point): number => bowl({ line: line! - 0.1, gain: gain! });
    expect(run(bowl, off).point).toEqual({ line: 0.2, gain: 0.5 });
  });

  test('the best of the points that are always tried is tried', () => {
    const { exact } = run(bowl, bowl);
    expect(exact).toContainEqual({ line: 0.2, gain: 0 });
  });

  test('where the first point is not uniform, it is a point like any other', () => {
    const { exact, point } = run(bowl, bowl, 1, false);
    expect(exact).toEqual([{ line: 0.2, gain: 0.5 }]);
    expect(point).toEqual({ line: 0.2, gain: 0.5 });
  });

  test('never more exact trials than allowed besides the first, and never the same point twice', () => {
    const point = fc.record({
      line: fc.double({ min: 0, max: 1, noNaN: true }),
      gain: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(point, { minLength: 24, maxLength: 24 }), fc.integer({ min: 1, max: 8 }), (noise, max) => {
        const at = ({ line, gain }: Point): number => axes.line.indexOf(line!) * 3 + axes.gain.indexOf(gain!);
        const loss = (p: Point): number => noise[at(p)]!.line;
        const { exact, loss: found } = run(loss, (p) => noise[at(p) + 12]!.gain, max);
        expect(exact.length - 1).toBeLessThanOrEqual(max);
        expect(new Set(exact.map((p) => JSON.stringify(p))).size).toBe(exact.length);
        expect(found).toBe(Math.min(...exact.map(loss)));
      }),
      { numRuns: runs(100) },
    );
  });
});
