// Convolutions over two axes, and the norm that goes with them. x [B, C, H, W]; C channels in `group` groups.
//   Conv:           w [M, C/g, h, w]; y[b, m, i, j] = c[m] + Σ w[m, k, p, q]·x[b, ·k, i·s − pad + p·d, …]
//   ConvTranspose:  w [C, M/g, h, w]; every x[b, k, i, j] adds w[k, m, p, q]·x to y[b, ·m, i·s − pad + p·d, …]
// The same places meet in both, so one walk over them serves both.

import { elementCount } from '../../tensor/index.js';
import { type Attributes, mismatch, numbers, type Op, real, scalar, type Value } from './value.js';

type Geometry = {
  readonly pads: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly groups: number;
};

function geometryOf(attributes: Attributes): Geometry {
  const or = (name: string, fallback: readonly number[]): readonly number[] =>
    attributes[name] === undefined ? fallback : numbers(attributes, name);
  return {
    pads: or('pads', [0, 0, 0, 0]),
    strides: or('strides', [1, 1]),
    dilations: or('dilations', [1, 1]),
    groups: scalar(attributes, 'group', 1),
  };
}

/**
 * Calls `meet` with the places of three elements that belong together: of the larger image [B, C, H, W], the kernel
 * [M, C/g, h, w] and the smaller image [B, M, I, J].
 */
function walk(
  large: readonly number[],
  kernel: readonly number[],
  small: readonly number[],
  { pads, strides, dilations, groups }: Geometry,
  meet: (large: number, kernel: number, small: number) => void,
): void {
  const [B, C, H, W] = large as [number, number, number, number];
  const [M, each, h, w] = kernel as [number, number, number, number];
  const [, , I, J] = small as [number, number, number, number];
  for (let b = 0; b < B; b++) {
    for (let m = 0; m < M; m++) {
      const first = Math.floor(m / (M / groups)) * each;
      for (let k = 0; k < each; k++) {
        for (let i = 0; i < I; i++) {
          for (let j = 0; j < J; j++) {
            for (let p = 0; p < h; p++) {
              for (let q = 0; q < w; q++) {
                const y = i * strides[0]! - pads[0]! + p * dilations[0]!;
                const x = j * strides[1]! - pads[1]! + q * dilations[1]!;
                if (y < 0 || y >= H || x < 0 || x >= W) continue;
                const at = ((b * C + first + k) * H + y) * W + x;
                meet(at, ((m * each + k) * h + p) * w + q, ((b * M + m) * I + i) * J + j);
              }
            }
          }
        }
      }
    }
  }
}

function checkShapes(op: string, x: Value, w: Value, channels: number, groups: number): void {
  const fits = x.shape.length === 4 && w.shape.length === 4 && x.shape[1] === channels;
  if (!fits || w.shape[0]! % groups !== 0) mismatch(op, `[B, ${channels}, H, W] and a kernel of rank 4`, x.shape);
}

/** Starts from the bias of each channel. */
function fill(shape: readonly number[], bias: Value | undefined): Value {
  const inner = elementCount(shape.slice(2));
  return real(
    shape,
    Float64Array.from({ length: elementCount(shape) }, (_, i) => bias?.data[Math.floor(i / inner) % shape[1]!] ?? 0),
  );
}

export const Conv: Op = {
  attributes: ['dilations', 'group', 'pads', 'strides'],
  inputs: [2, 3],
  run: ([x, w, bias], attributes) => {
    const geometry = geometryOf(attributes);
    const { pads, strides, dilations, groups } = geometry;
    checkShapes('Conv', x!, w!, w!.shape[1]! * groups, groups);
    const sizes = [0, 1].map((i) => {
      const reach = x!.shape[i + 2]! + pads[i]! + pads[i + 2]! - dilations[i]! * (w!.shape[i + 2]! - 1) - 1;
      return Math.floor(reach / strides[i]!) + 1;
    });
    const y = fill([x!.shape[0]!, w!.shape[0]!, ...sizes], bias);
    walk(x!.shape, w!.shape, y.shape, geometry, (from, weight, to) => {
      y.data[to]! += w!.data[weight]! * x!.data[from]!;
    });
    return y;
  },
};

export const ConvTranspose: Op = {
  attributes: ['dilations', 'group', 'output_padding', 'pads', 'strides'],
  inputs: [2, 3],
  run: ([x, w, bias], attributes) => {
    const geometry = geometryOf(attributes);
    const { pads, strides, dilations, groups } = geometry;
    checkShapes('ConvTranspose', x!, w!, w!.shape[0]!, groups);
    const over = attributes.output_padding === undefined ? [0, 0] : numbers(attributes, 'output_padding');
    const sizes = [0, 1].map((i) => {
      const reach = strides[i]! * (x!.shape[i + 2]! - 1) + dilations[i]! * (w!.shape[i + 2]! - 1) + 1;
      return reach + over[i]! - pads[i]! - pads[i + 2]!;
    });
    const y = fill([x!.shape[0]!, w!.shape[1]! * groups, ...sizes], bias);
    walk(y.shape, w!.shape, x!.shape, geometry, (to, weight, from) => {
      y.data[to]! += w!.data[weight]! * x!.data[from]!;
    });
    return y;
  },
};

/** (x − mean)/√(variance + ε) over each group of channels, then a scale and a bias for each channel. */
export const GroupNormalization: Op = {
  attributes: ['num_groups', 'epsilon'],
  inputs: [3, 3],
  run: ([x, scale, bias], attributes) => {
    const [B, C, ...inner] = x!.shape as [number, number, ...number[]];
    const groups = scalar(attributes, 'num_groups');
    const epsilon = scalar(attributes, 'epsilon', 1e-5);
    if (C % groups !== 0) mismatch('GroupNormalization', `channels in ${groups} groups`, C);
    for (const { shape } of [scale!, bias!]) if (shape.join() !== `${C}`) mismatch('GroupNormalization', [C], shape);
    const area = elementCount(inner);
    const size = (C / groups) * area;
    const y = real(x!.shape);
    for (let group = 0; group < B * groups; group++) {
      const values = x!.data.subarray(group * size, (group + 1) * size);
      const mean = values.reduce((sum, value) => sum + value, 0) / size;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / size;
      for (const [i, value] of values.entries()) {
        const channel = (group % groups) * (C / groups) + Math.floor(i / area);
        const normed = (value - mean) / Math.sqrt(variance + epsilon);
        y.data[group * size + i] = normed * scale!.data[channel]! + bias!.data[channel]!;
      }
    }
    return y;
  },
};
