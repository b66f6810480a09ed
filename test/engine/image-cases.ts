// What vision models need of an engine: the operators alone over odd shapes, drawn from a seed of their own, so that the cases
// of cases.ts stay what they are. Then one block of a ConvNeXt over [B, H, W, C] and the pooled head, with both versions' parts: layer scale, and the response
// normalisation, whose root and mean are over an image's places and its channels.

import type { HostTensor } from '../../src/engine/index.js';
import { float, GraphBuilder, int, ints } from '../../src/graph/index.js';
import { type Case, oneOp } from './cases.js';
import { f32, randomBytes, randomTensor, rngOf } from './numbers.js';

const rng = rngOf(41);
const random = (shape: readonly number[], scale = 1): HostTensor => randomTensor(rng, shape, scale);

/** A convolution of [B, C, H, W] with `kernel` by `kernel` weights in groups, with a bias. */
function convolution(
  [B, C, height, width]: readonly [number, number, number, number],
  {
    kernel,
    pad = 0,
    stride = 1,
    group = 1,
    out = C,
  }: { kernel: number; pad?: number; stride?: number; group?: number; out?: number },
): Case {
  const after = (size: number): number => Math.floor((size + 2 * pad - kernel) / stride) + 1;
  const tensors = [random([B, C, height, width]), random([out, C / group, kernel, kernel]), random([out])];
  const name = `[${[B, C, height, width]}] by ${kernel} → ${out}, padded ${pad}, stride ${stride}, in ${group}`;
  return oneOp(name, 'Conv', tensors, [B, out, after(height), after(width)], {
    pads: ints([pad, pad, pad, pad]),
    strides: ints([stride, stride]),
    group: int(group),
  });
}

function transposed(shape: readonly number[], perm: readonly number[]): Case {
  const result = perm.map((axis) => shape[axis]!);
  return oneOp(`[${shape}] by [${perm}]`, 'Transpose', [random(shape)], result, { perm: ints(perm) });
}

/** Means along constant axes, or of everything. */
function mean(shape: readonly number[], axes: readonly number[], keep: boolean): Case {
  const g = new GraphBuilder();
  const x = g.input('x', 'f32', shape);
  const gone = new Set(axes.length === 0 ? shape.keys() : axes.map((axis) => (axis < 0 ? axis + shape.length : axis)));
  const result = keep
    ? shape.map((size, axis) => (gone.has(axis) ? 1 : size))
    : shape.filter((_, axis) => !gone.has(axis));
  const inputs = axes.length === 0 ? [x] : [x, g.shape(axes)];
  g.output(g.op('ReduceMean', inputs, { keepdims: int(Number(keep)) }), 'y', result);
  const name = `ReduceMean: [${shape}] along [${axes}], keepdims ${keep}`;
  return { name, graph: g.build('ReduceMean', undefined), inputs: { x: random(shape) } };
}

/** Every query sees every key. */
function attention(B: number, T: number, heads: number, h: number): Case {
  const shape = [B, T, heads * h];
  return oneOp(
    `[${B}, ${T}, ${heads} × ${h}], all see all`,
    'Attention',
    [random(shape, 3), random(shape, 3), random(shape)],
    shape,
    {
      is_causal: int(0),
      q_num_heads: int(heads),
      kv_num_heads: int(heads),
    },
  );
}

/** One query for each image, as a head that pools by attention has it. */
function probe(B: number, T: number, heads: number, h: number): Case {
  const [one, all] = [
    [B, 1, heads * h],
    [B, T, heads * h],
  ] as const;
  return oneOp(
    `one query of [${B}, ${T}, ${heads} × ${h}]`,
    'Attention',
    [random(one, 3), random(all, 3), random(all)],
    one,
    {
      is_causal: int(0),
      q_num_heads: int(heads),
      kv_num_heads: int(heads),
    },
  );
}

const shapes = Array.from(
  { length: 6 },
  () => [1 + rng.below(3), 1 + rng.below(6), 1 + rng.below(9), 1 + rng.below(9)] as const,
);

export const imageOpCases: readonly Case[] = [
  ...shapes.map((shape) => convolution(shape, { kernel: 7, pad: 3, group: shape[1] })), // some images are smaller than the kernel
  ...shapes.map((shape) => convolution(shape, { kernel: 3, pad: 1, group: shape[1], out: 2 * shape[1] })),
  ...shapes.map((shape) => convolution(shape, { kernel: 3, pad: 1, stride: 2, out: 5 })),
  convolution([2, 3, 12, 8], { kernel: 4, stride: 4, out: 6 }),
  convolution([2, 3, 13, 11], { kernel: 4, stride: 4, out: 6 }), // what is left over at the ends is not read
  transposed([2, 3, 4, 5], [0, 3, 1, 2]),
  transposed([2, 3, 4, 5], [0, 2, 3, 1]),
  transposed([3, 1, 2], [2, 0, 1]),
  transposed([4, 7], [1, 0]),
  mean([2, 3, 4, 5], [1, 2], true),
  mean([2, 3, 4, 5], [1, 2], false),
  mean([4, 57], [-1], true),
  mean([3, 7], [], false),
  oneOp('both ends', 'Sqrt', [f32([5], Float32Array.of(0, 1e-30, 0.25, 2, 1e30))], [5]),
  attention(2, 17, 4, 8),
  attention(3, 1, 2, 6),
  probe(2, 16, 4, 8),
];

const [H, W, C, F] = [5, 4, 6, 24];

export function convnextCase(): Case {
  const rng = rngOf(31);
  const g = new GraphBuilder();
  const weight = (name: string, ...shape: readonly number[]): string => {
    const bytes = randomBytes(rng, shape, 'F32', 3 / Math.sqrt(shape.at(-1)!));
    return g.initializer({ name, dtype: 'F32', shape, source: { kind: 'bytes', bytes } });
  };
  const normed = (value: string, name: string): string =>
    g.op('LayerNormalization', [value, weight(`${name}.weight`, C), weight(`${name}.bias`, C)], {
      axis: int(-1),
      epsilon: float(1e-6),
    });
  const linear = (rows: string, name: string, out: number, width: number): string =>
    g.op('Gemm', [rows, weight(`${name}.weight`, out, width), weight(`${name}.bias`, out)], { transB: int(1) });

  const x = g.input('x', 'f32', ['B', H, W, C]);
  const turned = g.op('Transpose', [x], { perm: ints([0, 3, 1, 2]) });
  const convolved = g.op('Conv', [turned, weight('dwconv.weight', C, 1, 7, 7), weight('dwconv.bias', C)], {
    group: int(C),
    pads: ints([3, 3, 3, 3]),
  });
  const back = normed(g.op('Transpose', [convolved], { perm: ints([0, 2, 3, 1]) }), 'norm');
  const wide = g.op('Gelu', [linear(g.op('Reshape', [back, g.shape([-1, C])]), 'pwconv1', F, C)]);
  const images = g.op('Reshape', [wide, g.shape([-1, H, W, F])]);
  const norms = g.op('Sqrt', [g.op('ReduceSumSquare', [images, g.shape([1, 2])])]);
  const epsilon = g.constant('epsilon', Float32Array.of(1e-6), [1]);
  const mean = g.op('Add', [g.op('ReduceMean', [norms, g.shape([-1])]), epsilon]);
  const scaled = g.op('Mul', [images, g.op('Div', [norms, mean])]);
  const response = g.op('Add', [
    g.op('Mul', [scaled, weight('grn.weight', 1, 1, 1, F)]),
    weight('grn.bias', 1, 1, 1, F),
  ]);
  const responded = g.op('Add', [response, images]);
  const narrow = linear(g.op('Reshape', [responded, g.shape([-1, F])]), 'pwconv2', C, F);
  const branch = g.op('Reshape', [g.op('Mul', [narrow, weight('scale.weight', C)]), g.shape([-1, H, W, C])]);
  const pooled = g.op('ReduceMean', [g.op('Add', [x, branch]), g.shape([1, 2])], { keepdims: int(0) });
  g.output(linear(normed(pooled, 'head_norm'), 'classifier', 5, C), 'y', ['B', 5]);
  return {
    name: 'convnext: a block and the head',
    graph: g.build('convnext', undefined),
    inputs: { x: randomTensor(rng, [3, H, W, C]) },
  };
}
