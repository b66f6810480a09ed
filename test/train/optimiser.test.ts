// AdamW, clipping and the schedule against PyTorch in float64 (scripts/golden/train.py), and the order of chunks.

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { shuffled } from '../../src/base/index.js';
import { createMoments, stepAdamW } from '../../src/train/adamw.js';
import { clipFactor, normOf } from '../../src/train/clip.js';
import { chunksOfStep } from '../../src/train/order.js';
import { rateAt } from '../../src/train/schedule.js';
import { runs } from '../scale.js';

type Values = { readonly W: number[]; readonly g: number[] };
const golden = JSON.parse(readFileSync(new URL('../golden/train.json', import.meta.url), 'utf8')) as {
  readonly peak: number;
  readonly decay: number;
  readonly start: Values;
  readonly steps: readonly { gradients: Values; norm: number; rate: number; values: Values }[];
};

test('twelve steps end where PyTorch ends', () => {
  const { peak, decay, start, steps } = golden;
  const [W, g] = [Float32Array.from(start.W), Float32Array.from(start.g)];
  const [ofW, ofG] = [createMoments(W.length), createMoments(g.length)];
  expect(steps.some(({ norm }) => norm > 1) && steps.some(({ norm }) => norm < 1)).toBe(true);
  for (const [i, { gradients, norm, rate, values }] of steps.entries()) {
    const [dW, dg] = [Float32Array.from(gradients.W), Float32Array.from(gradients.g)];
    const found = normOf([dW, dg]);
    expect(found).toBeCloseTo(norm, 6);
    const now = rateAt(i + 1, steps.length, peak);
    expect(now).toBeCloseTo(rate, 12);
    const scale = clipFactor(found);
    stepAdamW(W, dW, ofW, { rate: now, decay, step: i + 1, scale });
    stepAdamW(g, dg, ofG, { rate: now, decay: 0, step: i + 1, scale });
    for (const [at, value] of values.W.entries()) expect(W[at]).toBeCloseTo(value, 6);
    for (const [at, value] of values.g.entries()) expect(g[at]).toBeCloseTo(value, 6);
  }
});

test('what has no gradient and no decay keeps its bits, and decay moves no zero', () => {
  const w = Float32Array.of(0, -0, 0.3, 1e-30);
  const before = new Uint32Array(w.slice().buffer);
  const moments = createMoments(4);
  for (let step = 1; step < 5; step++)
    stepAdamW(w, new Float32Array(4), moments, { rate: 1, decay: 0, step, scale: 1 });
  expect(new Uint32Array(w.slice().buffer)).toEqual(before);
  stepAdamW(w, new Float32Array(4), moments, { rate: 0.1, decay: 0.5, step: 5, scale: 1 });
  expect(Object.is(w[0], 0) && Object.is(w[1], -0)).toBe(true);
  expect(w[2]).toBeLessThan(0.3);
});

test('the rate rises over a twentieth of the steps and falls to a tenth', () => {
  const rates = Array.from({ length: 100 }, (_, i) => rateAt(i + 1, 100, 1));
  expect(rates[0]).toBeCloseTo(0.2);
  expect(rates[4]).toBe(1);
  expect(rates[99]).toBeCloseTo(0.1);
  for (let i = 5; i < 100; i++) expect(rates[i]).toBeLessThan(rates[i - 1]!);
  expect(rateAt(1, 1, 0.5)).toBe(0.5);
});

test('every pass reads every chunk once, in another order', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 7 }),
      fc.nat(1000),
      (chunks, perStep, seed) => {
        const steps = Math.ceil((3 * chunks) / perStep);
        const read = Array.from({ length: steps }, (_, step) => chunksOfStep(step, perStep, chunks, seed)).flat();
        for (let pass = 0; pass < 3; pass++) {
          const of = read.slice(pass * chunks, (pass + 1) * chunks);
          expect([...of].sort((a, b) => a - b)).toEqual(Array.from({ length: chunks }, (_, i) => i));
          expect(of).toEqual(shuffled(chunks, seed + pass));
        }
      },
    ),
    { numRuns: runs(100) },
  );
  expect(shuffled(50, 1)).not.toEqual(shuffled(50, 2));
});
