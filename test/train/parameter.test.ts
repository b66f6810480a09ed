// What is trained of a tensor: zeros keep their bits, gradients are those of finite differences, weights stay on their grid.

import { describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { nearestHalf } from '../../src/tensor/index.js';
import { createMoments, stepAdamW } from '../../src/train/adamw.js';
import { gridParameter } from '../../src/train/grid-parameter.js';
import { keptParameter, loraParameter, type Parameter } from '../../src/train/parameter.js';
import { normal } from '../api/make.js';

const rng = createRng(5);
const random = (count: number): Float32Array => Float32Array.from({ length: count }, () => normal(rng));
const withZeros = (count: number): Float32Array => {
  const values = random(count);
  for (let i = 0; i < count; i += 3) values[i] = i % 2 === 0 ? 0 : -0;
  return values;
};

/** Steps of AdamW along random gradients. */
function move(parameter: Parameter, count: number, steps = 20): void {
  const moments = parameter.variables.map(({ values }) => createMoments(values.length));
  for (let step = 1; step <= steps; step++) {
    for (const [i, gradient] of parameter.gradients(random(count)).entries()) {
      const { values, decays } = parameter.variables[i]!;
      stepAdamW(values, gradient, moments[i]!, { rate: 0.01, decay: decays ? 0.1 : 0, step, scale: 1 });
    }
  }
}

const lora = (start: Float32Array, transposed: boolean, masked = true): Parameter =>
  loraParameter('w', start, { out: 4, in: 6, transposed, rank: 2, scale: 1.5, masked, rng: createRng(1) });

describe.each([
  ['kept', (start: Float32Array) => keptParameter('w', start, { zeros: 'stay', decays: true })],
  ['lora', (start: Float32Array) => lora(start, false)],
  ['lora, stored the other way', (start: Float32Array) => lora(start, true)],
] as const)('%s', (_, make) => {
  test('zeros keep their bits, the rest moves', () => {
    const start = withZeros(24);
    const parameter = make(start);
    expect(parameter.values()).toEqual(start);
    move(parameter, 24);
    const now = parameter.values();
    for (const [i, value] of start.entries()) {
      if (value === 0) expect(Object.is(now[i], value)).toBe(true);
      else expect(now[i]).not.toBe(value);
    }
  });
});

test('zeros move where they may, and the start is not changed', () => {
  const start = withZeros(24);
  const copy = start.slice();
  const parameter = keptParameter('w', start, { zeros: 'move', decays: false });
  move(parameter, 24);
  expect(start).toEqual(copy);
  expect(parameter.values().every((value) => value !== 0)).toBe(true);
});

/** Σ c·W as a function of one variable's number, by central differences. */
function slope(parameter: Parameter, c: Float32Array, variable: number, at: number, h = 1e-2): number {
  const { values } = parameter.variables[variable]!;
  const loss = (): number => parameter.values().reduce((sum, w, i) => sum + w * c[i]!, 0);
  const was = values[at]!;
  values[at] = was + h;
  const high = loss();
  values[at] = was - h;
  const low = loss();
  values[at] = was;
  return (high - low) / (2 * h);
}

test.each([false, true])('the gradients of A and B, transposed %s', (transposed) => {
  for (const masked of [true, false]) {
    const parameter = lora(withZeros(24), transposed, masked);
    parameter.variables[1]!.values.set(random(8));
    const c = random(24);
    const gradients = parameter.gradients(c.slice());
    for (const [variable, gradient] of gradients.entries()) {
      for (let at = 0; at < gradient.length; at++) {
        expect(gradient[at]).toBeCloseTo(slope(parameter, c, variable, at), 3);
      }
    }
  }
});

test('an adapter adds s·BA everywhere', () => {
  const start = withZeros(24);
  const parameter = lora(start, false, false);
  const [A, B] = parameter.variables.map(({ values }) => values) as [Float32Array, Float32Array];
  expect(Math.max(...A.map(Math.abs))).toBeLessThanOrEqual(1 / Math.sqrt(6));
  B.set(random(8));
  const W = parameter.values();
  for (let row = 0; row < 4; row++) {
    for (let j = 0; j < 6; j++) {
      const sum = B[row * 2]! * A[j]! + B[row * 2 + 1]! * A[6 + j]!;
      expect(W[row * 6 + j]).toBeCloseTo(start[row * 6 + j]! + 1.5 * sum, 5);
    }
  }
});

describe.each([2, 3, 4, 8])('%i bits', (bits) => {
  const [rows, columns, group] = [3, 40, 32];
  const [low, high] = bits === 8 ? [-127, 127] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  const draws = createRng(bits);
  const q = Int8Array.from({ length: rows * columns }, () => low + draws.below(high - low + 1));
  const scales = Float32Array.from({ length: rows * 2 }, () => nearestHalf(0.02 + 0.05 * draws.uniform()));
  const grid = { name: 'w', rows, columns, bits, group, dtype: 'F16', q, scales } as const;

  test.each([false, true])('starts as it was and stays on the grid, transposed %s', (transposed) => {
    const parameter = gridParameter('w', grid, transposed);
    const at = (row: number, j: number): number => (transposed ? j * rows + row : row * columns + j);
    const first = parameter.values().slice();
    move(parameter, rows * columns);
    const [now, s] = [parameter.values(), parameter.scales()];
    expect(s).not.toEqual(scales);
    expect(s.map(nearestHalf)).toEqual(s);
    let moved = 0;
    for (let row = 0; row < rows; row++) {
      for (let j = 0; j < columns; j++) {
        const of = row * 2 + Math.floor(j / group);
        expect(first[at(row, j)]).toBe(Math.fround(q[row * columns + j]! * scales[of]!) + 0);
        const level = now[at(row, j)]! / s[of]!;
        const whole = Math.round(level);
        expect(now[at(row, j)]).toBe(Math.fround(whole * s[of]!) + 0);
        expect(whole >= low && whole <= high).toBe(true);
        if (q[row * columns + j] === 0) expect(now[at(row, j)]).toBe(0);
        if (whole !== q[row * columns + j]) moved++;
      }
    }
    expect(moved).toBeGreaterThan(0);
  });

  test('gradients are straight through, and LSQ’s for scales', () => {
    const parameter = gridParameter('w', grid, false);
    const latent = parameter.variables[0]!.values;
    latent[0] = (high + 2) * scales[0]!; // beyond the range
    latent[1] = (Math.min(high, 1) - 0.3) * scales[0]!;
    const c = random(rows * columns);
    const [dLatent, dRatio] = parameter.gradients(c.slice());
    let expected = 0;
    for (let j = 0; j < group; j++) {
      if (q[j] === 0) continue;
      const exact = latent[j]! / scales[0]!;
      const level = Math.min(high, Math.max(low, Math.round(exact)));
      const inside = exact <= high + 0.5 && exact >= low - 0.5;
      expected += c[j]! * (inside ? level - exact : level) * scales[0]!;
      expect(dLatent![j]).toBe(inside ? c[j] : 0);
    }
    expect(dRatio![0]).toBeCloseTo(expected, 5);
  });
});
