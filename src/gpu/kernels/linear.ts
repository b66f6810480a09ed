// y = W·x + bias for every layout, judged by `plainMultiplyQuantised` and `plainMultiply`. A workgroup has eight rows, side by
// side, times parts of the columns, and up to eight tokens that share what is read of the weights. int8 adds whole rows in
// integers, so their order is free. int4, int3 and int2 put each unit's product with its scale aside, and one thread adds
// a row's in their order, as the twin does: the same bits for any workgroup. Products reach sums through workgroup memory,
// where no compiler joins them to one rounding. Several tensors of one form may share a dispatch: their row groups follow
// one another, or a workgroup makes the rows of two and puts the activation of the first times the second's. Prompts have
// workgroups of more rows and tokens (prompt.ts).

import { type LinearLayout, rowGroups } from '../../layouts/portable.js';
import { ACTIVATIONS } from './activations.js';
import type { Activation } from './names.js';
import { promptMemory, promptProduct } from './prompt.js';
import { each, HALF, head, type Kernel, main, nameOf } from './shader.js';
import { scaleAt, type Unit, unitOf } from './units.js';
import { unpackOf } from './unpack.js';

export type LinearShape = {
  /** Tensors of one form, whose row groups follow one another. */
  readonly layouts: readonly [LinearLayout, ...LinearLayout[]];
  /** Threads of a workgroup. */
  readonly threads: number;
  /** Tokens of a workgroup. */
  readonly tokens: number;
  /** Its row groups, of a kernel for prompts, which `hasPrompt` layouts have; undefined for the others, which have one. */
  readonly groups?: number | undefined;
  readonly bias: boolean;
  /** y is added to `a` and not written. */
  readonly adds: boolean;
  /** Rows [A[expert], A[expert + 1]) of x and y, instead of the first A[count]. */
  readonly expert: boolean;
  /** y = activation(W·x + bias), with `up` times the same of the second tensor, which has as many rows. */
  readonly activated?: { readonly activation: Activation; readonly up: boolean } | undefined;
};

/** Tokens that a workgroup of any layout may have. */
export const TOKEN_TILES = [1, 2, 4, 8] as const;

/** Whether a layout has a kernel for prompts. */
export const hasPrompt = (layout: LinearLayout): boolean => unpackOf(layout, { threads: 1, groups: 1 }) !== undefined;

/** Workgroups along x for a tensor's rows; `groups` as in the shape. */
export const linearGroups = (layout: LinearLayout, groups = 1): number => Math.ceil(rowGroups(layout) / groups);

/** Equal for tensors that can share a dispatch: all of a layout but its number of rows. */
export function formOf(layout: LinearLayout): string {
  const form = layout.layout === 'tiles' ? [layout.form, 'slots' in layout ? [layout.slots, layout.index] : ''] : '';
  return [layout.layout, layout.values, form, layout.columns].join(' ');
}

export function linearKernel(shape: LinearShape): Kernel {
  const { layouts, threads, tokens, groups, bias, adds, expert, activated } = shape;
  const rows = layouts.map((one) => one.rows).join('+');
  const own = [threads, tokens, groups, bias, adds, expert, activated?.activation, activated?.up];
  return { key: ['linear', formOf(layouts[0]), rows, ...own].join(' '), code: () => codeOf(shape) };
}

function codeOf(shape: LinearShape): string {
  const { layouts, threads, tokens, groups = 1, activated } = shape;
  const [layout] = layouts;
  const unpacking = shape.groups === undefined ? undefined : unpackOf(layout, { threads, groups });
  const unit = unpacking ? undefined : unitOf(layout, tokens);
  const weights = unit?.weights ?? 'u32';
  const product = unpacking
    ? promptProduct(layout, threads, { tokens, groups }, unpacking)
    : unit
      ? integers(shape, unit)
      : floats(shape);
  const dots = unit || unpacking ? 'requires packed_4x8_integer_dot_product;\n' : '';
  const scales = unit || unpacking ? SCALE[weights] + HALF : '';
  const functions = `${unit?.functions ?? ''}${activated ? ACTIVATIONS[activated.activation].text : ''}`;
  const memory = unpacking
    ? promptMemory({ tokens, groups })
    : `var<workgroup> part: array<${wholeRows(unit) ? 'i32' : 'f32'}, ${threads * tokens}>;`;
  const results = 8 * groups * tokens;
  return `${dots}${head(weights)}${scales}${functions}
${memory}
var<workgroup> made: array<f32, ${results}>;
var<workgroup> gate: array<f32, ${results}>;
var<workgroup> span: vec2u;
${main(threads)}${rowsOf(shape)}${placesOf(shape)}${rest(shape, product)}
}`;
}

/** Whether a row is added in integers until its end. */
const wholeRows = (unit: Unit | undefined): boolean => unit !== undefined && unit.group === undefined;

const SCALE = {
  u32: 'fn SCALE(i: u32) -> u32 { return W[i]; }',
  'vec4<u32>': 'fn SCALE(i: u32) -> u32 { return W[i >> 2u][i & 3u]; }',
} as const;

/** The rows of the tokens: r0, r1, …; beyond the last one they are read and not written, so a buffer has room for them. */
const rowsOf = ({ tokens, groups, expert }: LinearShape): string => `
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
  ${each(groups === undefined ? tokens : 0, (t) => `let r${t} = first + ${t}u;`)}`;

/** A tensor's places, as texts of units call them: its parts, its scales and its bias. */
const WEIGHTS = ['w0', 'w1', 'w2', 'w3', 's', 'bias'] as const;
const RESULT = ['y', 'ys'] as const;
const take = (names: readonly (typeof WEIGHTS | typeof RESULT)[number][], part: number): string =>
  names.map((name) => `${name === 's' ? 'ws' : name} = p.${nameOf(name, part)};`).join(' ');

/** Which tensor is the workgroup's, which group of its rows comes first, and where it is. */
function placesOf({ layouts, groups = 1, activated }: LinearShape): string {
  const all = [...WEIGHTS, ...RESULT];
  let end = linearGroups(layouts[0], groups);
  const others = (activated ? [] : layouts.slice(1)).map((one, i) => {
    const begin = end;
    end += linearGroups(one, groups);
    return `
  if (wg.x >= ${begin}u && wg.x < ${end}u) { rg = (wg.x - ${begin}u) * ${groups}u; rows = ${one.rows}u; ${take(all, i + 1)} }`;
  });
  return `
  var rg = wg.x * ${groups}u;
  var rows = ${layouts[0].rows}u;
  ${take(all, 0).replaceAll(/\w+ =/g, 'var $&')}${others.join('')}`;
}

/** Puts the sums over the threads of a row into the first eight numbers of each token's part. */
const sumParts = ({
  threads,
  tokens,
}: Pick<LinearShape, 'threads' | 'tokens'>): string => `${each(tokens, (t) => `part[${t * threads}u + lid] = s${t};`)}
  workgroupBarrier();
  for (var s = ${threads / 2}u; s >= 8u; s = s >> 1u) {
    if (lid < s) { ${each(tokens, (t) => `part[${t * threads}u + lid] += part[${t * threads}u + lid + s];`)} }
    workgroupBarrier();
  }`;

/** Runs `body` for each number of `made`, [token, row]: always the same thread for the same number. */
const forMade = ({ threads, tokens, groups = 1 }: LinearShape, body: string): string => `
  for (var i = lid; i < ${8 * groups * tokens}u; i += ${threads}u) {
    ${body}
  }`;

/** All after the tokens: `product` makes `made`; then come the bias and what it is times or added to, one rounding after another. */
function rest(shape: LinearShape, product: string): string {
  const { bias, adds, activated, groups = 1 } = shape;
  const rows = 8 * groups;
  const inside = (body: string): string =>
    forMade(
      shape,
      `let at = rg * 8u + i % ${rows}u;
    let r = first + i / ${rows}u;
    if (at < rows && r < last) { ${body} }`,
    );
  const biased = `
  {
  ${product}
  }${bias ? inside('made[i] = made[i] + F(bias + at);') : ''}
  workgroupBarrier();`;
  const put = adds ? 'let to = p.a + r * p.as_ + at; G(to, F(to) + made[i]);' : 'G(y + r * ys + at, made[i]);';
  if (!activated) return biased + inside(put);
  const { call } = ACTIVATIONS[activated.activation];
  const active = biased + forMade(shape, `let v = made[i]; gate[i] = ${call};`);
  const last = 'G(y + r * ys + at, gate[i]';
  if (!activated.up) return `${active}${inside(`${last});`)}`;
  return `${active}
  ${take(WEIGHTS, 1)}${biased}${inside(`${last} * made[i]);`)}`;
}

/** `made`, [token, row], by integers. */
function integers({ layouts: [layout], threads, tokens }: LinearShape, unit: Unit): string {
  const parts = threads / 8;
  const sums = each(tokens, (t) => `var s${t} = 0i;`);
  if (unit.group === undefined) {
    return `let units = ${unit.count};
  ${sums}
  for (var u = lid >> 3u; u < units; u += ${parts}u) {
      ${unit.body}
  }
  ${sumParts({ threads, tokens })}
  for (var i = lid; i < ${8 * tokens}u; i += ${threads}u) {
    let row = i & 7u;
    let t = i >> 3u;
    made[i] = f32(part[t * ${threads}u + row]) * ${scaleAt(layout, undefined)} * F(p.scales + first + t);
  }
  workgroupBarrier();`;
  }
  return `let units = ${unit.count};
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
  workgroupBarrier();`;
}

/** The same of dense f32, and of rows of f32 (w0 offsets, w1 columns, w2 values). */
function floats({ layouts: [{ layout, columns }], threads, tokens }: LinearShape): string {
  const parts = threads / 8;
  const at = 'min(rg * 8u + row, rows - 1u)';
  const add = (w: string, c: string): string =>
    `let w = ${w}; let c = ${c};
    ${each(tokens, (t) => `s${t} += w * F(p.x + r${t} * p.xs + c);`)}`;
  const loop =
    layout === 'rows'
      ? `let end = W[w0 + ${at} + 1u];
  for (var i = W[w0 + ${at}] + (lid >> 3u); i < end; i += ${parts}u) {
    ${add('bitcast<f32>(W[w2 + i])', '(W[w1 + (i >> 1u)] >> (16u * (i & 1u))) & 0xffffu')}
  }`
      : `let base = w0 + ${at} * ${columns}u;
  for (var i = lid >> 3u; i < ${columns}u; i += ${parts}u) {
    ${add('bitcast<f32>(W[base + i])', 'i')}
  }`;
  return `${each(tokens, (t) => `var s${t} = 0f;`)}
  ${loop}
  ${sumParts({ threads, tokens })}
  for (var i = lid; i < ${8 * tokens}u; i += ${threads}u) { made[i] = part[(i >> 3u) * ${threads}u + (i & 7u)]; }
  workgroupBarrier();`;
}
