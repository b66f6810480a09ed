// Kernels of a thread a number: activations, rows of tables, sums, copies. A row is wg.y. Twins: kernels/plain-decoder.ts.

import { denseRowBytes, type LinearLayout, scaleGroups } from '../../layouts/portable.js';
import { ACTIVATIONS } from './activations.js';
import type { Activation } from './names.js';
import { HALF, head, type Kernel, main } from './shader.js';

/** An elementwise kernel of `width` numbers a row; `body` has i and the row r. */
const elementwise = (name: string, threads: number, width: number, shape: object, body: string, more = ''): Kernel => ({
  key: [name, threads, JSON.stringify({ width, ...shape })].join(' '),
  code: () => `${head()}${more}${main(threads)}
  let i = gid.x;
  let r = wg.y;
  if (i < ${width}u) { ${body} }
}`,
});

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
