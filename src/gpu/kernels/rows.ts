// Kernels of a workgroup a row (wg.y): norms, quantised activations, and a norm whose result is quantised at once, which gives
// the bits of the two one after the other. Twins: kernels/plain-decoder.ts, and `plainQuantise`, whose bits `quantise` gives
// where the driver divides as IEEE 754 says (WGSL allows 2.5 units in the last place).

import { activationBytes } from '../../layouts/portable.js';
import { head, type Kernel, main, reduce } from './shader.js';

export type NormShape = {
  readonly layer: boolean;
  /** Numbers of a part; wg.x is the part of the row. */
  readonly width: number;
  readonly epsilon: number;
  /** At `a`. */
  readonly weight: boolean;
  readonly bias: boolean;
  /** Row A[picks + r] of x, instead of row r. */
  readonly picked: boolean;
  /** Copies of the row in int8; undefined for none. */
  readonly copies: Copies | undefined;
};

export function normKernel(threads: number, shape: NormShape): Kernel {
  const { layer, width, epsilon, weight, bias, picked, copies } = shape;
  const value = `(F(x + i)${layer ? ' - mean' : ''}) * factor${weight ? ' * F(p.a + i)' : ''}${bias ? ' + F(p.bias + i)' : ''}`;
  const mean = `
  for (var i = lid; i < ${width}u; i += ${threads}u) { acc += F(x + i); }${reduce(threads, 'sum')}
  let mean = part[0] / ${width}f;
  workgroupBarrier();
  acc = 0f;`;
  const quantised = copies
    ? `
  // The workgroup reads what its threads have written.
  storageBarrier();
  workgroupBarrier();${quantise(threads, width, copies, 'y')}`
    : '';
  return {
    key: ['norm', threads, JSON.stringify(shape)].join(' '),
    code: () => `${head()}var<workgroup> part: array<f32, ${threads}>;
${copies ? quantiseFunctions(threads, width) : ''}${main(threads)}
  let x = p.x + ${picked ? 'A[p.picks + wg.y]' : 'wg.y'} * p.xs + wg.x * ${width}u;
  let y = p.y + wg.y * p.ys + wg.x * ${width}u;
  var acc = 0f;${layer ? mean : ''}
  for (var i = lid; i < ${width}u; i += ${threads}u) { let v = F(x + i)${layer ? ' - mean' : ''}; acc += v * v; }${reduce(threads, 'sum')}
  let factor = 1f / sqrt(part[0] / ${width}f + ${epsilon}f);
  for (var i = lid; i < ${width}u; i += ${threads}u) { G(y + i, ${value}); }${quantised}
}`,
  };
}

export type Copies = { readonly packed: boolean; readonly wide: boolean; readonly turned: boolean };

/**
 * int8 of a row and its scale. `packed`: four columns a word; `wide`: one a word, in its low byte; `turned`: as int4's
 * nibbles lie (word 2w + odd of 32 columns has 8k + l for l = 2w, 2w + 1 and k = odd, 2 + odd). Zeros up to 128 columns.
 */
export const quantiseKernel = (threads: number, width: number, copies: Copies): Kernel => ({
  key: ['quantise', threads, JSON.stringify({ width, ...copies })].join(' '),
  code: () => `${head()}${quantiseFunctions(threads, width)}${main(threads)}
  let x = p.x + wg.y * p.xs;${quantise(threads, width, copies, 'x')}
}`,
});

const quantiseFunctions = (threads: number, width: number): string => `var<workgroup> sizes: array<u32, ${threads}>;
fn q(x: u32, i: u32, inverse: f32) -> u32 {
  if (i >= ${width}u) { return 0u; }
  return u32(i32(clamp(round(F(x + i) * inverse), -127f, 127f))) & 0xffu;
}
`;

/** The row that begins at `x`, in int8. */
function quantise(threads: number, width: number, copies: Copies, x: string): string {
  const words = activationBytes(width) / 4;
  const word = (column: (j: number) => string): string =>
    [0, 1, 2, 3].map((j) => `(q(${x}, ${column(j)}, inverse) << ${8 * j}u)`).join(' | ');
  const lines = [
    copies.packed && `A[p.packed + wg.y * p.packedStride + i] = ${word((j) => `4u * i + ${j}u`)};`,
    copies.turned &&
      `let c = (i >> 3u) * 32u + 2u * ((i >> 1u) & 3u) + 8u * (i & 1u);
    A[p.turned + wg.y * p.packedStride + i] = ${word((j) => `c + ${(j >> 1) + 16 * (j & 1)}u`)};`,
    copies.wide &&
      `for (var j = 4u * i; j < 4u * i + 4u; j++) { A[p.wide + wg.y * p.wideStride + j] = q(${x}, j, inverse); }`,
  ];
  return `
  var size = 0u;
  for (var i = lid; i < ${width}u; i += ${threads}u) { size = max(size, A[${x} + i] & 0x7fffffffu); }${reduce(threads, 'max', 'size', 'sizes')}
  let largest = bitcast<f32>(sizes[0]);
  let scale = largest / 127f;
  var inverse = 0f;
  if (scale != 0f) { inverse = 127f / largest; }
  if (lid == 0u) { G(p.scales + wg.y, scale); }
  for (var i = lid; i < ${words}u; i += ${threads}u) {
    ${lines.filter((line) => line !== false).join('\n    ')}
  }`;
}
