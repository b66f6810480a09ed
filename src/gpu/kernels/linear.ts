// y = W·x + bias for every layout, judged by `plainMultiplyQuantised` and `plainMultiply`. A workgroup has eight rows, side by
// side, times parts of the columns, and up to eight tokens that share what is read of the weights. int8 adds whole rows in
// integers, so their order is free. int4, int3 and int2 put each unit's product with its scale aside, and one thread adds
// a row's in their order, as the twin does: the same bits for any workgroup. Products reach sums through workgroup memory,
// where no compiler joins them to one rounding.

import { type LinearLayout, rowGroups } from '../../layouts/portable.js';
import { each, HALF, head, type Kernel, main } from './shader.js';
import { scaleAt, type Unit, unitOf } from './units.js';

export type LinearShape = {
  readonly layout: LinearLayout;
  /** Threads of a workgroup. */
  readonly threads: number;
  /** Tokens of a workgroup. */
  readonly tokens: number;
  readonly bias: boolean;
  /** y is also added to `a`. */
  readonly adds: boolean;
  /** Rows [A[expert], A[expert + 1]) of x and y, instead of the first A[count]. */
  readonly expert: boolean;
};

/** Tokens that a workgroup may have. */
export const TOKEN_TILES = [1, 2, 4, 8] as const;

/** Workgroups of a dispatch along x: row groups. */
export const linearGroups = (layout: LinearLayout): number => rowGroups(layout);

export function linearKernel(shape: LinearShape): Kernel {
  const { layout, threads, tokens, bias, adds, expert } = shape;
  const { rows, columns, values } = layout;
  const form = layout.layout === 'tiles' ? [layout.form, 'slots' in layout ? [layout.slots, layout.index] : ''] : '';
  const key = ['linear', layout.layout, values, form, rows, columns, threads, tokens, bias, adds, expert].join(' ');
  const code = (): string => {
    const unit = unitOf(layout, tokens);
    return unit ? integers(shape, unit) : floats(shape);
  };
  return { key, code };
}

/** The rows of the tokens: r0, r1, …; beyond the last one they are read and not written, so a buffer has room for them. */
const rowsOf = ({ tokens, expert }: LinearShape): string => `
  let rg = wg.x;
  let row = lid & 7u;
  ${
    expert
      ? `if (lid == 0u) { span = vec2u(A[p.expert], A[p.expert + 1u]); }
  let own = workgroupUniformLoad(&span);
  let first = own.x + wg.y * ${tokens}u;
  let last = own.y;
  if (first >= last) { return; }`
      : `let first = wg.y * ${tokens}u;
  let last = A[p.count];`
  }
  ${each(tokens, (t) => `let r${t} = first + ${t}u;`)}`;

const declarations = ({ threads, tokens }: LinearShape, type: 'i32' | 'f32'): string => `
var<workgroup> part: array<${type}, ${threads * tokens}>;
var<workgroup> made: array<f32, ${8 * tokens}>;
var<workgroup> span: vec2u;
`;

/** Puts the sums over the threads of a row into the first eight numbers of each token's part. */
const sumParts = ({
  threads,
  tokens,
}: LinearShape): string => `${each(tokens, (t) => `part[${t * threads}u + lid] = s${t};`)}
  workgroupBarrier();
  for (var s = ${threads / 2}u; s >= 8u; s = s >> 1u) {
    if (lid < s) { ${each(tokens, (t) => `part[${t * threads}u + lid] += part[${t * threads}u + lid + s];`)} }
    workgroupBarrier();
  }`;

/** Writes `made`, [token, row]: the bias and what is added come one rounding after another. */
const finish = ({ layout, threads, tokens, bias, adds }: LinearShape): string => `
  for (var i = lid; i < ${8 * tokens}u; i += ${threads}u) {
    let at = rg * 8u + (i & 7u);
    let r = first + (i >> 3u);
    if (at < ${layout.rows}u && r < last) { ${bias ? 'made[i] = made[i] + F(p.bias + at);' : ''} }
  }
  workgroupBarrier();
  for (var i = lid; i < ${8 * tokens}u; i += ${threads}u) {
    let at = rg * 8u + (i & 7u);
    let r = first + (i >> 3u);
    if (at < ${layout.rows}u && r < last) {
      ${adds ? `let to = p.a + r * p.as_ + at; G(to, F(to) + made[i]);` : `G(p.y + r * p.ys + at, made[i]);`}
    }
  }
}`;

function integers(shape: LinearShape, unit: Unit): string {
  const { layout, threads, tokens } = shape;
  const parts = threads / 8;
  const sums = each(tokens, (t) => `var s${t} = 0i;`);
  const scale =
    unit.weights === 'u32'
      ? 'fn SCALE(i: u32) -> u32 { return W[i]; }'
      : 'fn SCALE(i: u32) -> u32 { return W[i >> 2u][i & 3u]; }';
  const before = `requires packed_4x8_integer_dot_product;
${head(unit.weights)}${scale}${HALF}${unit.functions}${declarations(shape, unit.group === undefined ? 'i32' : 'f32')}${main(threads)}${rowsOf(shape)}
  let units = ${unit.count};`;
  if (unit.group === undefined) {
    return `${before}
  ${sums}
  for (var u = lid >> 3u; u < units; u += ${parts}u) {
      ${unit.body}
  }
  ${sumParts(shape)}
  for (var i = lid; i < ${8 * tokens}u; i += ${threads}u) {
    let row = i & 7u;
    let t = i >> 3u;
    made[i] = f32(part[t * ${threads}u + row]) * ${scaleAt(layout, undefined)} * F(p.scales + first + t);
  }
  workgroupBarrier();${finish(shape)}`;
  }
  return `${before}
  for (var i = lid; i < ${8 * tokens}u; i += ${threads}u) { made[i] = 0f; }
  for (var batch = 0u; batch < units; batch += ${parts}u) {
    let u = batch + (lid >> 3u);
    if (u < units) {
      ${sums}
      ${unit.body}
      let scale = ${scaleAt(layout, unit.group)};
      ${each(tokens, (t) => `part[${t * threads}u + lid] = f32(s${t}${unit.shift > 0 ? ` >> ${unit.shift}u` : ''}) * scale;`)}
    }
    workgroupBarrier();
    let some = min(${parts}u, units - batch);
    for (var i = lid; i < ${8 * tokens}u; i += ${threads}u) {
      var sum = made[i];
      let begin = (i >> 3u) * ${threads}u + (i & 7u);
      for (var k = 0u; k < some; k++) { sum = sum + part[begin + 8u * k]; }
      made[i] = sum;
    }
    workgroupBarrier();
  }
  for (var i = lid; i < ${8 * tokens}u; i += ${threads}u) { made[i] = made[i] * F(p.scales + first + (i >> 3u)); }
  workgroupBarrier();${finish(shape)}`;
}

/** Dense f32, and rows of f32 (w0 offsets, w1 columns, w2 values). */
function floats(shape: LinearShape): string {
  const { layout, threads, tokens } = shape;
  const { rows, columns } = layout;
  const parts = threads / 8;
  const at = `min(rg * 8u + row, ${rows - 1}u)`;
  const add = (w: string, c: string): string =>
    `let w = ${w}; let c = ${c};
    ${each(tokens, (t) => `s${t} += w * F(p.x + r${t} * p.xs + c);`)}`;
  const loop =
    layout.layout === 'rows'
      ? `let end = W[p.w0 + ${at} + 1u];
  for (var i = W[p.w0 + ${at}] + (lid >> 3u); i < end; i += ${parts}u) {
    ${add('bitcast<f32>(W[p.w2 + i])', '(W[p.w1 + (i >> 1u)] >> (16u * (i & 1u))) & 0xffffu')}
  }`
      : `let base = p.w0 + ${at} * ${columns}u;
  for (var i = lid >> 3u; i < ${columns}u; i += ${parts}u) {
    ${add('bitcast<f32>(W[base + i])', 'i')}
  }`;
  return `${head()}${declarations(shape, 'f32')}${main(threads)}${rowsOf(shape)}
  ${each(tokens, (t) => `var s${t} = 0f;`)}
  ${loop}
  ${sumParts(shape)}
  for (var i = lid; i < ${8 * tokens}u; i += ${threads}u) { made[i] = part[(i >> 3u) * ${threads}u + (i & 7u)]; }
  workgroupBarrier();${finish(shape)}`;
}
