// Operations that share a dispatch: linears side by side, and a gate with its activation, against their plain twins; a norm
// that is quantised at once against the two kernels one after the other; and a whole model fused against the same unfused.

import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { createRng, silent } from '../../src/base/index.js';
import { lowerModel } from '../../src/decoder/lower.js';
import { SMALL } from '../../src/gpu/kernels/prompt.js';
import { normKernel, quantiseKernel } from '../../src/gpu/kernels/rows.js';
import { activationBytes, type EncodedLinear, type IntegerValues } from '../../src/layouts/index.js';
import { describeTensors, openModel } from '../../src/model/index.js';
import { packInMemory } from '../../src/packed/index.js';
import { type Case, cases, floatLayouts, integerLayouts } from '../kernels/matrices.js';
import { IS_FULL } from '../matrix.js';
import { goldenDir } from '../model/golden.js';
import { runs } from '../scale.js';
import { linearsCase } from './calls.js';
import { startGpu } from './gpu.js';

const started = await startGpu();
if ('reason' in started) console.warn(`skipped: fused kernels on the GPU (${started.reason})`);
const gpu = 'gpu' in started ? started.gpu : undefined;
afterAll(() => gpu?.close());

const vectors = (seed: number, columns: number, count: number): Float32Array[] => {
  const rng = createRng(seed);
  return Array.from({ length: count }, () => Float32Array.from({ length: columns }, () => 2 * rng.uniform() - 1));
};

/** Tensors of one form in each layout: as many of other numbers of rows. */
function together(c: Case, values: IntegerValues, rows: readonly number[]): (readonly EncodedLinear[])[] {
  const all = rows.map((count, i) => integerLayouts({ ...c, rows: count, seed: c.seed + i }, values));
  return all[0]!.flatMap((_, layout) => {
    const own = all.map((layouts) => layouts[layout]);
    return own.every((one) => one !== undefined) && haveOneForm(own) ? [own] : [];
  });
}

/** Fixed tiles have as many slots as their fullest row needs, so not all that are drawn can go together. */
const haveOneForm = (linears: readonly EncodedLinear[]): boolean =>
  new Set(linears.map(({ layout }) => JSON.stringify({ ...layout, rows: 0, parts: [] }))).size === 1;

test.skipIf(!gpu).each(['int8', 'int4', 'int3', 'int2'] as const)(
  '%s: linears side by side, and a gate with relu, have the twins’ bits',
  async (values) => {
    let seen = 0;
    const draws = fc.tuple(
      cases,
      fc.integer({ min: 1, max: 20 }),
      fc.constantFrom(1, 2, 4, SMALL),
      fc.nat(),
      fc.boolean(),
    );
    await fc.assert(
      fc.asyncProperty(draws, async ([c, rows, tile, layout, up]) => {
        // One of the layouts: a software adapter takes long to compile.
        const one = <T>(all: readonly T[]): readonly T[] => all.filter((_, i) => i === layout % all.length);
        const xs = vectors(c.seed, c.columns, 3);
        const [bias] = vectors(c.seed + 1, Math.max(c.rows, rows, 8), 1);
        for (const linears of one(together(c, values, [c.rows, rows, 8]))) {
          const { call, read, expected } = linearsCase(linears as [EncodedLinear], xs, tile, { bias: bias! });
          expect(read(await gpu!.run(call)), JSON.stringify(linears[0]!.layout.layout)).toEqual(expected);
          seen++;
        }
        for (const pair of one(together(c, values, [c.rows, c.rows]))) {
          const linears = (up ? pair : pair.slice(0, 1)) as [EncodedLinear];
          const gated = linearsCase(linears, xs, tile, { activated: { activation: 'relu', up } });
          expect(gated.read(await gpu!.run(gated.call)), `relu, ${up}`).toEqual(gated.expected);
          seen++;
        }
      }),
      { numRuns: runs(3) },
    );
    expect(seen).toBeGreaterThan(0);
  },
);

test.skipIf(!gpu)('every activation of a gate, with a bias: the twin’s to float32', async () => {
  const c = { rows: 21, columns: 300, density: 1, saturated: false, seed: 6 };
  const pairs = [
    ...together(c, 'int8', [21, 21]).slice(0, 1),
    floatLayouts(c)
      .slice(0, 1)
      .flatMap((one) => [one, one]),
  ];
  const xs = vectors(1, 300, 3).map((x) => x.map((value) => 0.2 * value));
  const [bias] = vectors(2, 21, 1);
  for (const [first, second] of pairs) {
    for (const activation of ['silu', 'gelu', 'gelu_tanh', 'relu'] as const) {
      const { call, read, expected } = linearsCase([first!, second!], xs, 2, {
        bias: bias!,
        activated: { activation, up: true },
      });
      const found = read(await gpu!.run(call));
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(largest).toBeGreaterThan(0);
      for (const [i, value] of found.entries())
        expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(3e-6 * largest);
    }
  }
});

test.skipIf(!gpu)('a norm quantised at once, of picked rows: the bits of pick, norm and quantise', async () => {
  const copies = { packed: true, wide: true, turned: true };
  for (const [layer, width, bias] of [
    [false, 300, false],
    [true, 33, true],
    [true, 128, false],
  ] as const) {
    const padded = activationBytes(width);
    const [count, rows] = [4, 3];
    let end = 0;
    const take = (n: number): number => {
      const at = end;
      end += 64 * Math.ceil(n / 64);
      return at;
    };
    const at = { x: take(count * width), y: take(rows * width), a: take(width), bias: take(width), picks: take(rows) };
    const integers = {
      ...{
        packed: take((rows * padded) / 4),
        turned: take((rows * padded) / 4),
        wide: take(rows * padded),
        scales: take(rows),
      },
      ...{ packedStride: padded / 4, wideStride: padded },
    };
    const arena = new Uint32Array(end);
    for (const [i, place] of [at.x, at.x + width, at.x + 2 * width, at.x + 3 * width, at.a, at.bias].entries()) {
      arena.set(new Uint32Array(vectors(i + width, width, 1)[0]!.buffer), place);
    }
    const picks = [3, 0, 2];
    arena.set(picks, at.picks);
    const none = { weights: new Uint8Array(16), cache: new Float32Array(4), x: 1, y: rows };
    const shape = { layer, width, epsilon: 1e-6, weight: true, bias };
    const places = { ...at, xs: width, ys: width, ...integers };
    const fused = normKernel(32, { ...shape, picked: true, copies });
    const found = await gpu!.run({ ...none, code: fused.code(), arena, parameters: places });

    const own = arena.slice();
    for (const [i, row] of picks.entries())
      own.copyWithin(at.y + i * width, at.x + row * width, at.x + (row + 1) * width);
    const norm = normKernel(32, { ...shape, picked: false, copies: undefined });
    const normed = await gpu!.run({ ...none, code: norm.code(), arena: own, parameters: { ...places, x: at.y } });
    const after = quantiseKernel(32, width, copies);
    const expected = await gpu!.run({ ...none, code: after.code(), arena: normed, parameters: { ...places, x: at.y } });
    expect(found).toEqual(expected);
  }
});

const few = [['llama', 'int8']] as const;
const others = [
  ['gpt_neox', 'int4'],
  ['qwen3', 'int8'],
  ['gemma2', 'int8'],
] as const;
test.skipIf(!gpu).each(IS_FULL ? [...few, ...others] : few)(
  '%s in %s: the same logits fused and unfused, to the last bit',
  async (name, values) => {
    const { checkpoint, config, tensorNames } = await openModel(goldenDir(name));
    const source = { checkpoint, tensors: describeTensors(config, tensorNames) };
    const pack = () => packInMemory(source, { values, layout: 'auto', head: 'int8' }, silent);
    const { tensors } = await pack();
    const program = lowerModel(config, tensorNames, (weight) => tensors.get(weight)!.layout.values !== 'f32');
    const limits = { sequences: 1, positions: 16, tokens: 16, picked: 16 };
    const tokens = [1, 5, 9, 2, 7, 3, 8, 4, 6, 11, 10, 12];
    const rows = { tokens, positions: tokens.map((_, i) => i), runs: [{ sequence: 0, start: 0, from: 0, count: 12 }] };
    const [fused, unfused] = await Promise.all(
      [true, false].map(async (one) => {
        const session = await gpu!.backend({ fused: one }).open(program, await pack(), limits);
        const logits = await session.step({ ...rows, picks: tokens.map((_, i) => i) });
        await session.close();
        return logits;
      }),
    );
    expect(fused!.some((value) => value !== 0)).toBe(true);
    expect(fused).toEqual(unfused);
  },
);
