// Kernels between products: norms, quantised activations, activations, rows of tables, sums. A row is
// wg.y or gid.y. Twins: kernels/plain-decoder.ts, and `plainQuantise`, whose bits `quantise` gives where the driver divides
// as IEEE 754 says (WGSL allows 2.5 units in the last place).

import { activationBytes, denseRowBytes, type LinearLayout, scaleGroups } from '../../layouts/portable.js';
import type { Activation } from './names.js';
import { HALF, head, type Kernel, main, reduce } from './shader.js';

const kernel = (name: string, threads: number, shape: object, code: string): Kernel => ({
  key: [name, threads, JSON.stringify(shape)].join(' '),
  code: () => code,
});

/** One part of a row a workgroup: wg.x the part of `width` numbers. a: weight (0: none), bias likewise. */
export function normKernel(
  threads: number,
  shape: {
    readonly layer: boolean;
    readonly width: number;
    readonly epsilon: number;
    readonly weight: boolean;
    readonly bias: boolean;
  },
): Kernel {
  const { layer, width, epsilon, weight, bias } = shape;
  const value = `(F(x + i)${layer ? ' - mean' : ''}) * factor${weight ? ' * F(p.a + i)' : ''}${bias ? ' + F(p.bias + i)' : ''}`;
  const mean = `
  for (var i = lid; i < ${width}u; i += ${threads}u) { acc += F(x + i); }${reduce(threads, 'sum')}
  let mean = part[0] / ${width}f;
  workgroupBarrier();
  acc = 0f;`;
  return kernel(
    'norm',
    threads,
    shape,
    `${head()}var<workgroup> part: array<f32, ${threads}>;
${main(threads)}
  let x = p.x + wg.y * p.xs + wg.x * ${width}u;
  let y = p.y + wg.y * p.ys + wg.x * ${width}u;
  var acc = 0f;${layer ? mean : ''}
  for (var i = lid; i < ${width}u; i += ${threads}u) { let v = F(x + i)${layer ? ' - mean' : ''}; acc += v * v; }${reduce(threads, 'sum')}
  let factor = 1f / sqrt(part[0] / ${width}f + ${epsilon}f);
  for (var i = lid; i < ${width}u; i += ${threads}u) { G(y + i, ${value}); }
}`,
  );
}

export type Copies = { readonly packed: boolean; readonly wide: boolean; readonly turned: boolean };

/**
 * int8 of a row and its scale. `packed`: four columns a word; `wide`: one a word, in its low byte; `turned`: as int4's
 * nibbles lie (word 2w + odd of 32 columns has 8k + l for l = 2w, 2w + 1 and k = odd, 2 + odd). Zeros up to 128 columns.
 */
export function quantiseKernel(threads: number, width: number, copies: Copies): Kernel {
  const words = activationBytes(width) / 4;
  const word = (column: (j: number) => string): string =>
    [0, 1, 2, 3].map((j) => `(q(x, ${column(j)}, inverse) << ${8 * j}u)`).join(' | ');
  const lines = [
    copies.packed && `A[p.packed + wg.y * p.packedStride + i] = ${word((j) => `4u * i + ${j}u`)};`,
    copies.turned &&
      `let c = (i >> 3u) * 32u + 2u * ((i >> 1u) & 3u) + 8u * (i & 1u);
    A[p.turned + wg.y * p.packedStride + i] = ${word((j) => `c + ${(j >> 1) + 16 * (j & 1)}u`)};`,
    copies.wide &&
      `for (var j = 4u * i; j < 4u * i + 4u; j++) { A[p.wide + wg.y * p.wideStride + j] = q(x, j, inverse); }`,
  ];
  return kernel(
    'quantise',
    threads,
    { width, ...copies },
    `${head()}var<workgroup> part: array<u32, ${threads}>;
fn q(x: u32, i: u32, inverse: f32) -> u32 {
  if (i >= ${width}u) { return 0u; }
  return u32(i32(clamp(round(F(x + i) * inverse), -127f, 127f))) & 0xffu;
}
${main(threads)}
  let x = p.x + wg.y * p.xs;
  var acc = 0u;
  for (var i = lid; i < ${width}u; i += ${threads}u) { acc = max(acc, A[x + i] & 0x7fffffffu); }${reduce(threads, 'max')}
  let largest = bitcast<f32>(part[0]);
  let scale = largest / 127f;
  var inverse = 0f;
  if (scale != 0f) { inverse = 127f / largest; }
  if (lid == 0u) { G(p.scales + wg.y, scale); }
  for (var i = lid; i < ${words}u; i += ${threads}u) {
    ${lines.filter((line) => line !== false).join('\n    ')}
  }
}`,
  );
}

/** An elementwise kernel of `width` numbers a row; `body` has i and the row r. */
const elementwise = (name: string, threads: number, width: number, shape: object, body: string, more = ''): Kernel =>
  kernel(
    name,
    threads,
    { width, ...shape },
    `${head()}${more}${main(threads)}
  let i = gid.x;
  let r = wg.y;
  if (i < ${width}u) { ${body} }
}`,
  );

/** erf by Abramowitz and Stegun, 7.1.26, as on the CPU; tanh of numbers for which no driver overflows. */
const ACTIVATIONS: Readonly<Record<Activation, { readonly call: string; readonly text: string }>> = {
  silu: { call: 'v / (1f + exp(-v))', text: '' },
  relu: { call: 'max(v, 0f)', text: '' },
  gelu: {
    call: '0.5f * v * (1f + erf(v * 0.70710678f))',
    text: `fn erf(x: f32) -> f32 {
  let a = abs(x);
  let t = 1f / (1f + 0.3275911f * a);
  let e = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
  let v = 1f - e * exp(-a * a);
  return select(v, -v, x < 0f);
}
`,
  },
  gelu_tanh: { call: '0.5f * v * (1f + tanh(clamp(0.79788456f * (v + 0.044715f * v * v * v), -15f, 15f)))', text: '' },
};

/** y = activation(x), times a where there is one. */
export const activateKernel = (threads: number, width: number, activation: Activation, up: boolean): Kernel =>
  elementwise(
    'activate',
    threads,
    width,
    { activation, up },
    `let v = F(p.x + r * p.xs + i); G(p.y + r * p.ys + i, (${ACTIVATIONS[activation].call})${up ? ' * F(p.a + r * p.as_ + i)' : ''});`,
    ACTIVATIONS[activation].text,
  );

export const scaleKernel = (threads: number, width: number, factor: number): Kernel =>
  elementwise('scale', threads, width, { factor }, `G(p.y + r * p.ys + i, F(p.x + r * p.xs + i) * ${factor}f);`);

export const copyKernel = (threads: number, width: number): Kernel =>
  elementwise('copy', threads, width, {}, 'A[p.y + r * p.ys + i] = A[p.x + r * p.xs + i];');

export const addKernel = (threads: number, width: number): Kernel =>
  elementwise('add', threads, width, {}, 'G(p.y + r * p.ys + i, F(p.y + r * p.ys + i) + F(p.x + r * p.xs + i));');

/** Row A[a + r] of x: the picked tokens, or the tokens of experts' rows. */
export const pickKernel = (threads: number, width: number): Kernel =>
  elementwise('pick', threads, width, {}, 'A[p.y + r * p.ys + i] = A[p.x + A[p.a + r] * p.xs + i];');

/** Row A[a + r] of a dense table: w0 values, s scales. */
export function lookKernel(threads: number, layout: LinearLayout): Kernel {
  const { columns, values } = layout;
  const bytes = denseRowBytes(columns, values);
  const group = 'let rg = t >> 3u; let row = t & 7u;';
  const byte = (at: string): string =>
    `let b = ${at}; let word = W[p.w0 + rg * ${2 * bytes}u + (b >> 4u) * 32u + row * 4u + ((b >> 2u) & 3u)];`;
  const texts = {
    f32: `A[p.y + r * p.ys + i] = W[p.w0 + t * ${columns}u + i];`,
    int8: `${group} ${byte('i')}
    G(p.y + r * p.ys + i, f32(extractBits(i32(word), 8u * (b & 3u), 8u)) * bitcast<f32>(W[p.s + t]));`,
    int4: `${group} ${byte('(i >> 5u) * 16u + (i & 7u) * 2u + ((i >> 4u) & 1u)')}
    let h = W[p.s + (rg * ${scaleGroups(layout)}u + (i >> 7u)) * 4u + (row >> 1u)] >> (16u * (row & 1u));
    let q = extractBits(i32(word), 8u * (b & 3u) + 4u * ((i >> 3u) & 1u), 4u);
    G(p.y + r * p.ys + i, f32(q) * half(h & 0xffffu));`,
  } as const;
  const text = texts[values as keyof typeof texts];
  return elementwise(
    'look',
    threads,
    columns,
    { layout: { ...layout, parts: [] } },
    `let t = A[p.a + r]; ${text}`,
    HALF,
  );
}
