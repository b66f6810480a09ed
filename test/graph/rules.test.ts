// Every operator's gradient rule by itself: random shapes against finite differences in double precision, golden vectors, and
// what is refused.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createReferenceEngine, type HostTensor } from '../../src/engine/index.js';
import { RULES } from '../../src/graph/gradients/table.js';
import {
  type Attribute,
  differentiate,
  feedInitializers,
  float,
  type Graph,
  GraphBuilder,
  int,
  ints,
  text,
} from '../../src/graph/index.js';
import { f32, i64, randomTensor, rngOf } from '../engine/numbers.js';
import { limit, runs } from '../scale.js';
import { SLOPE, SLOPE_OF_GELU } from '../tolerances.js';
import { slopeErrors } from './slopes.js';

const reference = createReferenceEngine();
type Attributes = Readonly<Record<string, Attribute>>;
type Inputs = Readonly<Record<string, HostTensor>>;
type Built = { readonly graph: Graph; readonly inputs: Inputs; readonly wrt: readonly string[] };

/** One op over inputs; int64 ones are constants of the graph, as they are in ours. `named` leaves the first sizes open. */
function oneOp(op: string, tensors: readonly HostTensor[], attributes: Attributes = {}, named = false): Built {
  const g = new GraphBuilder();
  const inputs: Record<string, HostTensor> = {};
  const names = tensors.map((tensor, i) => {
    if (tensor.type === 'i64') {
      const bytes = new Uint8Array(tensor.data.slice().buffer);
      return g.initializer({ name: `i${i}`, dtype: 'I64', shape: tensor.shape, source: { kind: 'bytes', bytes } });
    }
    inputs[`x${i}`] = tensor;
    return g.input(`x${i}`, 'f32', named ? tensor.shape.map((size, axis) => (axis === 0 ? 'B' : size)) : tensor.shape);
  });
  g.output(g.op(op, names, attributes), 'y', []);
  return { graph: g.build(op, undefined), inputs, wrt: Object.keys(inputs) };
}

/** Of all graphs but Gelu’s alone, the same. */
const limitOf = ({ name }: Graph): number => (name === 'Gelu' ? SLOPE_OF_GELU : SLOPE);

async function check({ graph, inputs, wrt }: Built): Promise<void> {
  const errors = await slopeErrors(graph, inputs, { seeds: ['y'], wrt });
  for (const [name, error] of Object.entries(errors)) expect(error, name).toBeLessThan(limitOf(graph));
}

const size = fc.integer({ min: 1, max: 4 });
const shape = fc.array(size, { minLength: 1, maxLength: 4 });
const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });

/** Two shapes that broadcast to one: each has some axes at 1, and one of them may lack the first ones. */
const pairs = fc
  .tuple(shape, fc.array(fc.constantFrom('both', 'left', 'right', 'none'), { minLength: 4, maxLength: 4 }), fc.nat(4))
  .map(([whole, kinds, missing]) => {
    const of = (side: string): number[] =>
      whole.map((n, axis) => (kinds[axis] === 'both' || kinds[axis] === side ? n : 1));
    return [of('left'), of('right').slice(Math.min(missing, whole.length - 1))] as const;
  });

const last = { axis: int(-1) };
const vector = (...values: readonly number[]): HostTensor => i64([values.length], values);

/** By operator: a random graph with it. `rng` draws the numbers. */
type Draw = (rng: ReturnType<typeof rngOf>) => fc.Arbitrary<Built>;

const elementwise =
  (op: string, attributes: Attributes = {}, values: (x: number) => number = (x) => x): Draw =>
  (rng) =>
    shape.map((sizes) => {
      const x = randomTensor(rng, sizes, 3);
      return oneOp(op, [f32(sizes, (x.data as Float32Array).map(values))], attributes);
    });
const binary =
  (op: string): Draw =>
  (rng) =>
    pairs.map(([a, b]) => {
      const right = randomTensor(rng, b);
      const away = (right.data as Float32Array).map((x) => x + Math.sign(x) * 0.5);
      return oneOp(op, [randomTensor(rng, a), f32(b, away)]);
    });
const axisOf = (sizes: readonly number[], at: number): number => at % sizes.length;

const DRAWS: Readonly<Record<string, readonly Draw[]>> = {
  Add: [binary('Add')],
  Sub: [binary('Sub')],
  Mul: [binary('Mul')],
  Div: [binary('Div')],
  Neg: [elementwise('Neg')],
  Identity: [elementwise('Identity')],
  Exp: [elementwise('Exp')],
  Log: [elementwise('Log', {}, (x) => Math.abs(x) + 0.5)],
  Sqrt: [elementwise('Sqrt', {}, (x) => Math.abs(x) + 0.5)],
  Tanh: [elementwise('Tanh')],
  Sigmoid: [elementwise('Sigmoid')],
  Relu: [elementwise('Relu', {}, (x) => x + Math.sign(x) * 0.1)],
  Cast: [elementwise('Cast', { to: int(1) })],
  Gelu: [elementwise('Gelu'), elementwise('Gelu', { approximate: text('tanh') })],
  LogSoftmax: [
    (rng) =>
      fc.tuple(shape, fc.nat(3)).map(([sizes, at]) => {
        return oneOp('LogSoftmax', [randomTensor(rng, sizes, 3)], { axis: int(axisOf(sizes, at)) });
      }),
  ],
  Where: [
    (rng) =>
      pairs.map(([a, b]) => {
        const g = new GraphBuilder();
        // On two grids, so that no two values are near each other: there is a step.
        const onGrid = (sizes: readonly number[], offset: number): HostTensor => {
          const { data } = randomTensor(rng, sizes, 3);
          return f32(
            sizes,
            (data as Float32Array).map((x) => Math.round(x) + offset),
          );
        };
        const inputs = { x0: onGrid(a, 0), x1: onGrid(b, 0.5) };
        const [x, y] = [g.input('x0', 'f32', a), g.input('x1', 'f32', b)];
        g.output(g.op('Where', [g.op('LessOrEqual', [x, y]), g.op('Mul', [x, x]), y]), 'y', []);
        return { graph: g.build('Where', undefined), inputs, wrt: ['x0', 'x1'] };
      }),
  ],
  Gemm: [
    (rng) =>
      fc
        .tuple(size, size, size, fc.boolean(), fc.boolean(), fc.constantFrom('none', 'row', 'one', 'full'))
        .map(([M, K, N, transA, transB, bias]) => {
          const A = randomTensor(rng, transA ? [K, M] : [M, K]);
          const B = randomTensor(rng, transB ? [N, K] : [K, N]);
          const sizes = { none: [], row: [N], one: [1], full: [M, N] }[bias]!;
          const C = bias === 'none' ? [] : [randomTensor(rng, sizes)];
          return oneOp('Gemm', [A, B, ...C], { transA: int(Number(transA)), transB: int(Number(transB)) });
        }),
  ],
  RMSNormalization: [
    (rng) =>
      shape.map((sizes) => {
        return oneOp('RMSNormalization', [randomTensor(rng, sizes), randomTensor(rng, [sizes.at(-1)!])], {
          ...last,
          epsilon: float(0.1),
        });
      }),
  ],
  LayerNormalization: [
    (rng) =>
      fc.tuple(shape, fc.boolean()).map(([sizes, biased]) => {
        const width = [sizes.at(-1)!];
        const tensors = [
          randomTensor(rng, sizes),
          randomTensor(rng, width),
          ...(biased ? [randomTensor(rng, width)] : []),
        ];
        return oneOp('LayerNormalization', tensors, { ...last, epsilon: float(0.1) });
      }),
  ],
  ReduceSum: [reduction('ReduceSum')],
  ReduceMean: [reduction('ReduceMean')],
  ReduceSumSquare: [reduction('ReduceSumSquare')],
  Reshape: [
    (rng) => shape.map((sizes) => oneOp('Reshape', [randomTensor(rng, sizes), vector(-1)])),
    (rng) =>
      shape.map((sizes) => oneOp('Reshape', [randomTensor(rng, sizes), vector(...sizes.map(() => 0), 1)], {}, true)),
  ],
  Expand: [(rng) => pairs.map(([a, b]) => oneOp('Expand', [randomTensor(rng, a), vector(...b)]))],
  Slice: [
    (rng) =>
      fc.tuple(shape, fc.nat(3), fc.nat(3), fc.nat(4), fc.boolean()).map(([sizes, at, from, count, back]) => {
        const axis = axisOf(sizes, at);
        const start = Math.min(from, sizes[axis]! - 1);
        const starts = vector(back ? start - sizes[axis]! : start);
        return oneOp('Slice', [
          randomTensor(rng, sizes),
          starts,
          vector(start + count + 1),
          vector(axis - sizes.length),
        ]);
      }),
  ],
  Transpose: [
    (rng) =>
      fc.tuple(shape, fc.nat(23)).map(([sizes, at]) => {
        const axes = [...sizes.keys()];
        const perm = sizes.map((_, i) => axes.splice((at >> i) % axes.length, 1)[0]!);
        return oneOp('Transpose', [randomTensor(rng, sizes)], { perm: ints(perm) }, true);
      }),
  ],
  Conv: [
    (rng) =>
      fc
        .tuple(
          fc.record({
            B: size,
            groups: fc.constantFrom(1, 1, 2, 3),
            each: fc.constantFrom(1, 2),
            more: fc.constantFrom(1, 2),
          }),
          fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 4, maxLength: 4 }), // kernel, strides
          fc.array(fc.nat(2), { minLength: 4, maxLength: 4 }),
          fc.array(fc.integer({ min: 1, max: 2 }), { minLength: 2, maxLength: 2 }),
          fc.array(fc.nat(3), { minLength: 2, maxLength: 2 }),
          fc.boolean(),
        )
        .map(([{ B, groups, each, more }, [kh, kw, sh, sw], pads, dilations, beyond, biased]) => {
          // At least one place of the kernel fits.
          const sizes = [kh!, kw!].map(
            (k, i) => Math.max(1, dilations[i]! * (k - 1) + 1 - pads[i]! - pads[i + 2]!) + beyond[i]!,
          );
          const [C, M] = [groups * each, groups * more];
          const tensors = [randomTensor(rng, [B, C, ...sizes]), randomTensor(rng, [M, each, kh!, kw!])];
          const { graph, inputs } = oneOp('Conv', [...tensors, ...(biased ? [randomTensor(rng, [M])] : [])], {
            group: int(groups),
            pads: ints(pads),
            strides: ints([sh!, sw!]),
            dilations: ints(dilations),
          });
          return { graph, inputs, wrt: Object.keys(inputs) };
        }),
  ],
  GroupNormalization: [
    (rng) =>
      fc.tuple(size, size, size, fc.array(size, { minLength: 1, maxLength: 2 })).map(([B, groups, each, inner]) => {
        const C = groups * each;
        const tensors = [randomTensor(rng, [B, C, ...inner]), randomTensor(rng, [C]), randomTensor(rng, [C])];
        return oneOp('GroupNormalization', tensors, { num_groups: int(groups), epsilon: float(0.1) });
      }),
  ],
  Concat: [
    (rng) =>
      fc
        .tuple(shape, fc.nat(3), fc.array(size, { minLength: 1, maxLength: 3 }), fc.boolean())
        .map(([sizes, at, parts, named]) => {
          const axis = axisOf(sizes, at);
          const tensors = parts.map((part) =>
            randomTensor(rng, sizes.with(axis, named && axis === 0 ? sizes[0]! : part)),
          );
          return oneOp('Concat', tensors, { axis: int(axis) }, named);
        }),
  ],
  Split: [
    (rng) =>
      fc.tuple(shape, fc.nat(3), fc.nat(4)).map(([sizes, at, first]) => {
        // One of the parts is not read; another may be empty.
        const axis = axisOf(sizes, at);
        const g = new GraphBuilder();
        const x = g.input('x', 'f32', sizes);
        const cut = Math.min(first, sizes[axis]!);
        const parts = g.ops('Split', [x, g.shape([cut, sizes[axis]! - cut, 0])], 3, { axis: int(axis) });
        g.output(g.op('Exp', [parts[first % 2]!]), 'y', []);
        return { graph: g.build('Split', undefined), inputs: { x: randomTensor(rng, sizes) }, wrt: ['x'] };
      }),
  ],
  Gather: [
    (rng) =>
      fc
        .tuple(shape, fc.array(fc.nat(3), { maxLength: 5 }))
        .map(([sizes, rows]) =>
          oneOp('Gather', [randomTensor(rng, sizes), vector(...rows.map((row) => row % sizes[0]!))], { axis: int(0) }),
        ),
    (rng) =>
      fc.tuple(size, size, size).map(([N, a, b]) => {
        const rows = Array.from({ length: a * b }, () => rng.below(N));
        return oneOp('Gather', [randomTensor(rng, [N, 3]), i64([a, b], rows)], { axis: int(0) }, true);
      }),
  ],
  GatherElements: [
    (rng) =>
      fc.tuple(size, size, size).map(([N, V, k]) => {
        const places = Array.from({ length: N * k }, () => rng.below(V));
        return oneOp('GatherElements', [randomTensor(rng, [N, V]), i64([N, k], places)], { axis: int(1) });
      }),
  ],
  TopK: [
    (rng) =>
      fc.tuple(size, size, fc.nat(3)).map(([N, V, k]) => {
        const g = new GraphBuilder();
        const [values] = g.ops('TopK', [g.input('x', 'f32', [N, V]), g.shape([1 + (k % V)])], 2, last);
        g.output(values!, 'y', []);
        // No two values are near each other: there the order has a kink.
        const x = Float32Array.from({ length: N * V }, (_, i) => ((i * 7) % (N * V)) + 0.1 * rng.uniform());
        return { graph: g.build('TopK', undefined), inputs: { x: f32([N, V], x) }, wrt: ['x'] };
      }),
  ],
  RotaryEmbedding: [
    (rng) =>
      fc.tuple(size, size, size, fc.constantFrom(2, 4, 6)).map(([B, T, heads, dims]) => {
        const [h, half] = [6, dims / 2];
        const positions = Array.from({ length: B * T }, () => rng.below(2 * T));
        const { graph, inputs } = oneOp(
          'RotaryEmbedding',
          [
            randomTensor(rng, [B, T, heads * h]),
            randomTensor(rng, [2 * T, half]),
            randomTensor(rng, [2 * T, half]),
            i64([B, T], positions),
          ],
          { num_heads: int(heads), rotary_embedding_dim: int(dims) },
        );
        return { graph, inputs, wrt: ['x0'] };
      }),
  ],
  Attention: [
    (rng) =>
      fc
        .tuple(
          fc.integer({ min: 1, max: 2 }),
          size,
          size,
          fc.constantFrom([1, 1], [4, 2], [3, 1], [2, 2]),
          fc.constantFrom('causal', 'none', 'mask', 'batch', 'heads'),
          fc.boolean(),
          fc.boolean(),
        )
        .map(([B, Q, S, [heads, kvHeads], masked, capped, named]) => {
          const [h, hv] = [3, 2];
          const keys = masked === 'causal' ? Q : S;
          const hidden = (sizes: readonly number[]): HostTensor => {
            const count = sizes.reduce((a, b) => a * b);
            return f32(
              sizes,
              Float32Array.from({ length: count }, (_, i) =>
                i % keys > 0 && rng.below(2) === 1 ? -Infinity : rng.uniform(),
              ),
            );
          };
          const masks: Readonly<Record<string, readonly number[]>> = {
            mask: [Q, keys],
            batch: [B, 1, Q, keys],
            heads: [B, heads!, Q, keys],
          };
          const tensors = [
            randomTensor(rng, [B, Q, heads! * h], 2),
            randomTensor(rng, [B, keys, kvHeads! * h], 2),
            randomTensor(rng, [B, keys, kvHeads! * hv]),
          ];
          const mask = masks[masked] ? [hidden(masks[masked])] : [];
          const { graph, inputs } = oneOp(
            'Attention',
            [...tensors, ...mask],
            {
              is_causal: int(masked === 'causal' ? 1 : 0),
              q_num_heads: int(heads!),
              kv_num_heads: int(kvHeads!),
              scale: float(0.6),
              ...(capped ? { softcap: float(1.2) } : {}),
            },
            named && masked !== 'mask',
          );
          return { graph, inputs, wrt: ['x0', 'x1', 'x2'] };
        }),
  ],
};

function reduction(op: string): Draw {
  return (rng) =>
    fc.tuple(shape, fc.nat(15), fc.boolean(), fc.boolean()).map(([sizes, which, keep, named]) => {
      const axes = [...sizes.keys()].filter((axis) => (which >> axis) & 1);
      const list = axes.length === 0 ? [] : [vector(...axes.map((axis) => axis - sizes.length))];
      // The first size may be open where a mean does not need to know it.
      const open = named && (op !== 'ReduceMean' || (axes.length > 0 && !axes.includes(0)));
      return oneOp(op, [randomTensor(rng, sizes), ...list], { keepdims: int(Number(keep)) }, open);
    });
}

describe('each rule, over random shapes', () => {
  test('has a case', () => {
    expect(Object.keys(DRAWS).sort()).toEqual([...RULES.keys()].sort());
  });

  const all = Object.entries(DRAWS).flatMap(([op, draws]) => draws.map((draw, i) => [`${op} ${i}`, draw] as const));
  test.each(all)('%s', { timeout: limit(20_000) }, async (_, draw) => {
    await fc.assert(
      fc.asyncProperty(
        seeds.chain((seed) => draw(rngOf(seed))),
        check,
      ),
      { numRuns: runs(25) },
    );
  });
});

/** Runs a differentiated graph of one op, and rounds to the six digits of the golden vectors. */
async function gradientsBy(built: Built, cotangent: HostTensor): Promise<Record<string, number[]>> {
  const session = await reference.load(differentiate(built.graph, { seeds: ['y'], wrt: built.wrt, keep: ['y'] }));
  const outputs = await session.run({ ...built.inputs, d_y: cotangent });
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { data }]) => [
      name,
      Array.from(data as Float32Array, (x) => Math.round(x * 1e6) / 1e6 + 0),
    ]),
  );
}

const of = (shape: readonly number[], ...values: readonly number[]): HostTensor =>
  f32(shape, Float32Array.from(values));

describe('golden vectors', () => {
  const norm = [of([4], 1, -2, 3, 0.5), of([4], 1, 0.5, 2, -1)];
  const dy = of([4], 0.1, 0.2, -0.3, 0.4);

  test('RMSNormalization', async () => {
    const built = oneOp('RMSNormalization', norm, { ...last, epsilon: float(1e-5) });
    expect(await gradientsBy(built, dy)).toEqual({
      y: [0.529812, -0.529812, 3.178873, -0.264906],
      g_x0: [0.131059, -0.103174, -0.083655, -0.172886],
      g_x1: [0.052981, -0.211925, -0.476831, 0.105962],
    });
  });

  test('LayerNormalization', async () => {
    const built = oneOp('LayerNormalization', norm, { ...last, epsilon: float(1e-5) });
    expect(await gradientsBy(built, dy)).toEqual({
      y: [0.210558, -0.736954, 2.667073, 0.070186],
      g_x0: [0.195, -0.017425, -0.056426, -0.121149],
      g_x1: [0.021056, -0.294782, -0.400061, -0.028074],
    });
  });

  test.each([
    [
      0,
      {
        y: [1, 2, 1, 2, 1.825042, 0.762437, 1.079699, 1.880452],
        g_x0: [0, 0, 0, 0, -0.856828, -0.214207, 0.21644, 0.05411],
        g_x1: [0.21644, -0.320194, -0.21644, 0.320194],
        g_x2: [2.25389, 2.626562, 0.24611, -0.126562],
      },
    ],
    [
      1,
      {
        y: [1, 2, 1, 2, 1.86614, 0.70079, 1.294186, 1.558721],
        g_x0: [0, 0, 0, 0, -0.657117, -0.081131, 0.155492, -0.048013],
        g_x1: [0.039644, -0.253304, -0.27134, 0.248321],
        g_x2: [2.136372, 2.422349, 0.363628, 0.077651],
      },
    ],
  ])('causal Attention, two query heads and one of keys, capped at %d', async (cap, expected) => {
    const q = of([1, 2, 4], 1, 0, 0.5, -1, 0, 1, 2, 1);
    const [k, v] = [of([1, 2, 2], 1, 1, -1, 0.5), of([1, 2, 2], 1, 2, 3, -1)];
    const built = oneOp('Attention', [q, k, v], {
      is_causal: int(1),
      q_num_heads: int(2),
      kv_num_heads: int(1),
      scale: float(Math.SQRT1_2),
      softcap: float(cap),
    });
    const got = await gradientsBy(built, of([1, 2, 4], 1, 0, 0, 1, 0.5, -0.5, 1, 2));
    for (const [name, values] of Object.entries(expected)) {
      for (const [i, value] of values.entries()) expect(got[name]![i], `${name}[${i}]`).toBeCloseTo(value, 5);
    }
  });
});

describe('what is asked for', () => {
  /** y = relu(x·a), z = x + b; a and b are stored. */
  function twoResults(): Graph {
    const g = new GraphBuilder();
    const x = g.input('x', 'f32', ['B', 2]);
    const stored = (name: string): string => g.constant(name, Float32Array.of(1, -2), [2]);
    g.output(g.op('Relu', [g.op('Mul', [x, stored('a')])]), 'y', ['B', 2]);
    g.output(g.op('Add', [x, stored('b')]), 'z', ['B', 2]);
    return g.build('two results', undefined);
  }

  test('several seeds add up; inputs stay, and kept outputs come too', async () => {
    const graph = differentiate(twoResults(), { seeds: ['y', 'z'], wrt: ['x', 'a'], keep: ['z'] });
    expect(graph.inputs.map(({ name }) => name)).toEqual(['x', 'd_y', 'd_z']);
    expect(graph.outputs.map(({ name, shape }) => [name, shape])).toEqual([
      ['z', ['B', 2]],
      ['g_x', ['B', 2]],
      ['g_a', [2]],
    ]);
    const session = await reference.load(graph);
    const ones = of([1, 2], 1, 1);
    const got = await session.run({ x: of([1, 2], 3, 4), d_y: ones, d_z: ones });
    expect(Array.from(got.g_x!.data, Number)).toEqual([2, 1]);
    expect(Array.from(got.g_a!.data, Number)).toEqual([3, 0]);
    expect(Array.from(got.z!.data, Number)).toEqual([4, 2]);
  });

  test('what is frozen costs nothing', () => {
    const [all, one] = [['x', 'a'], ['x']].map((wrt) => differentiate(twoResults(), { seeds: ['y'], wrt }));
    expect(one!.nodes.length).toBeLessThan(all!.nodes.length);
    expect(one!.nodes.some(({ op }) => op === 'Add')).toBe(false);
  });

  test('the batch may be given', () => {
    const graph = differentiate(twoResults(), { seeds: ['y'], wrt: ['x'], dims: { B: 3 } });
    expect([...graph.inputs, ...graph.outputs].map(({ shape }) => shape)).toEqual([
      [3, 2],
      [3, 2],
      [3, 2],
    ]);
  });

  test('a stored half-precision weight is fed and differentiated in float32', async () => {
    const g = new GraphBuilder();
    const bytes = new Uint8Array(Uint16Array.of(0x3f80, 0xc000).buffer); // 1 and −2
    const w = g.initializer({ name: 'w', dtype: 'BF16', shape: [2], source: { kind: 'bytes', bytes } });
    const wide = g.op('Cast', [w], { to: int(1) });
    g.output(g.op('Mul', [wide, wide]), 'y', [2]);
    const graph = differentiate(g.build('square', undefined), { seeds: ['y'], wrt: ['w'] });
    const d_y = of([2], 1, 1);
    const stored = await (await reference.load(graph)).run({ d_y });
    expect(Array.from(stored.g_w!.data, Number)).toEqual([2, -4]);
    const fed = feedInitializers(graph, ['w']);
    expect(fed.inputs.map(({ name }) => name)).toEqual(['d_y', 'w']);
    const other = await (await reference.load(fed)).run({ d_y, w: of([2], 5, 1.001) });
    expect(Array.from(other.g_w!.data, Number)).toEqual([10, Math.fround(2 * Math.fround(1.001))]);
    expect(() => feedInitializers(graph, ['v'])).toThrow(/no tensor v/);
  });

  test.each([
    [{ seeds: ['q'], wrt: ['x'] }, /seeds: expected names of y, z, got q/],
    [{ seeds: [], wrt: ['x'] }, /seeds: .*got none/],
    [{ seeds: ['y', 'y'], wrt: ['x'] }, /seeds: .*got y/],
    [{ seeds: ['y'], wrt: ['w'] }, /wrt: expected names of x, a, b, got w/],
    [{ seeds: ['y'], wrt: [] }, /wrt: .*got none/],
    [{ seeds: ['y'], wrt: ['a', 'a'] }, /wrt: .*got a/],
    [{ seeds: ['y'], wrt: ['x'], keep: ['x'] }, /keep: expected names of y, z, got x/],
    [{ seeds: ['y'], wrt: ['b'] }, /y does not depend on b/],
    [{ seeds: ['z'], wrt: ['x', 'a'] }, /z does not depend on a/],
  ])('names that mean nothing are refused: %j', (options, message) => {
    let error: unknown;
    try {
      differentiate(twoResults(), options);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'E_OPTION_GRADIENT', message: expect.stringMatching(message) });
  });

  test.each([
    ['ReduceMax', oneOp('ReduceMax', [of([2, 2], 1, 2, 3, 4)]), /No gradient of ReduceMax/],
    ['CumSum', oneOp('CumSum', [of([2], 1, 2), vector(0)]), /No gradient of CumSum/],
    ['an attribute', oneOp('Gemm', [of([1, 1], 1), of([1, 1], 1)], { alpha: float(2) }), /attribute alpha/],
    ['a step', oneOp('Slice', [of([4], 1, 2, 3, 4), vector(0), vector(4), vector(0), vector(2)]), /step 1/],
    ['an axis', oneOp('Gather', [of([2, 2], 1, 2, 3, 4), vector(0)], { axis: int(1) }), /axis 0/],
    ['a mean', oneOp('ReduceMean', [of([2, 2], 1, 2, 3, 4), vector(0)], {}, true), /over axes of known sizes/],
    ['no order', oneOp('Transpose', [of([2, 2], 1, 2, 3, 4)]), /an order of axes/],
    ['one axis', oneOp('Conv', [of([1, 1, 2], 1, 2), of([1, 1, 1], 1)]), /over two axes of known sizes/],
    [
      'an attribute of another',
      oneOp('Conv', [of([1, 1, 2, 2], 1, 2, 3, 4), of([1, 1, 1, 1], 1)], { auto_pad: text('VALID') }),
      /attribute auto_pad/,
    ],
    ['another type', oneOp('Cast', [of([2], 1, 2)], { to: int(10) }), /casts to float32/],
    ['another axis', oneOp('RMSNormalization', [of([2, 2], 1, 2, 3, 4), of([2], 1, 1)], { axis: int(0) }), /last axis/],
  ])('an operator without a rule, or used as the rule does not know: %s', (_, { graph }, message) => {
    let error: unknown;
    try {
      differentiate(graph, { seeds: ['y'], wrt: ['x0'] });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'E_UNSUPPORTED_GRADIENT', message: expect.stringMatching(message) });
  });

  test('a mask, and sizes that only a run can tell', () => {
    const masked = oneOp('Attention', [of([1, 1, 2], 1, 2), of([1, 1, 2], 1, 2), of([1, 1, 2], 1, 2), of([1, 1], 0)], {
      q_num_heads: int(1),
      kv_num_heads: int(1),
    });
    expect(() => differentiate(masked.graph, { seeds: ['y'], wrt: ['x3'] })).toThrow(/that of a mask/);
    const named = oneOp('Slice', [of([3], 1, 2, 3), vector(0), vector(2), vector(0)], {}, true);
    expect(() => differentiate(named.graph, { seeds: ['y'], wrt: ['x0'] })).toThrow(/known at run time only/);
    const g = new GraphBuilder();
    g.output(g.op('Add', [g.input('a', 'f32', ['N']), g.input('b', 'f32', [3])]), 'y', [3]);
    const graph = g.build('sum', undefined);
    expect(() => differentiate(graph, { seeds: ['y'], wrt: ['a'] })).toThrow(/expected shapes that broadcast/);
    expect(differentiate(graph, { seeds: ['y'], wrt: ['a'], dims: { N: 1 } }).outputs[0]!.shape).toEqual([1]);
  });
});
