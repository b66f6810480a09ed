// y = W·x for many tokens: a workgroup makes as many rows of as many tokens. Of each 128 columns it puts weights (unpack.ts) and activations
// into its memory as int8, once for all of them, and each thread multiplies a few rows by a few tokens. int8 adds whole rows in
// integers; the others put a group's product with its scale through workgroup memory before they add it, in the groups'
// order: the twin's bits, as linear.ts has them.

import type { LinearLayout } from '../../layouts/portable.js';
import { readsOf, scaleAt } from './units.js';
import { CHUNK_STRIDE, CHUNK_WORDS, type Unpacking } from './unpack.js';

/** Tokens and row groups of a workgroup. */
export type PromptShape = { readonly tokens: number; readonly groups: number };

export const LARGE: PromptShape = { tokens: 32, groups: 4 };
/** For software adapters, which take long to compile kernels with much memory, and where there is little of it. */
export const SMALL: PromptShape = { tokens: 16, groups: 1 };
/** The most tokens of a workgroup. */
export const PROMPT_TOKENS = LARGE.tokens;

/** What fits workgroups of so many threads and bytes; `gated` has the gate's results too. */
export function promptShape(threads: number, bytes: number, gated: boolean): PromptShape {
  const { tokens, groups } = LARGE;
  const needed = 4 * ((8 * groups + tokens) * CHUNK_STRIDE + (gated ? 2 : 1) * 8 * groups * tokens);
  return threads < 128 || bytes < needed ? SMALL : LARGE;
}

/** What a workgroup has beside the results: weights and activations of a chunk. */
export const promptMemory = ({
  tokens,
  groups,
}: PromptShape): string => `var<workgroup> rows8: array<u32, ${8 * groups * CHUNK_STRIDE}>;
var<workgroup> tokens8: array<u32, ${tokens * CHUNK_STRIDE}>;`;

/** A thread's rows and tokens: together all of the workgroup's, about as many of one as of the other. */
function shareOf(all: number, threads: number): { readonly rows: number; readonly tokens: number } {
  const rows = 2 ** Math.floor(Math.log2(all / threads) / 2);
  return { rows, tokens: all / threads / rows };
}

/** `made`, [token, row], by integers. */
export function promptProduct(
  layout: LinearLayout,
  threads: number,
  { tokens, groups }: PromptShape,
  { grouped, shift, text }: Unpacking,
): string {
  const rows = 8 * groups;
  const share = shareOf(rows * tokens, threads);
  const own = (line: (r: number, t: number) => string): string =>
    Array.from({ length: share.rows * share.tokens }, (_, i) =>
      line(Math.floor(i / share.tokens), i % share.tokens),
    ).join('\n      ');
  const range = (count: number, line: (i: number) => string): string =>
    Array.from({ length: count }, (_, i) => line(i)).join(' ');
  const place = (r: number, t: number): string => `made[(tt + ${t}u) * ${rows}u + tr + ${r}u]`;
  // Groups that the tensor has not are read as its last one, and not written.
  const scale = (r: number, value: string): string =>
    `{ let g = min(rg + ((tr + ${r}u) >> 3u), groups - 1u); let row = (tr + ${r}u) & 7u; ${value} }`;
  const scaleOf = scaleAt(layout, grouped ? 'c' : undefined, 'g');
  const multiply = `
    for (var w = 0u; w < ${CHUNK_WORDS}u; w++) {
      ${range(share.rows, (r) => `let a${r} = rows8[(tr + ${r}u) * ${CHUNK_STRIDE}u + w];`)}
      ${range(share.tokens, (t) => `let b${t} = tokens8[(tt + ${t}u) * ${CHUNK_STRIDE}u + w];`)}
      ${own((r, t) => `s${r}_${t} += dot4I8Packed(a${r}, b${t});`)}
    }`;
  const put = (r: number): string =>
    range(share.tokens, (t) => `${place(r, t)} = f32(s${r}_${t}${shift > 0 ? ` >> ${shift}u` : ''}) * scale;`);
  const inside = grouped
    ? `
    ${own((r, t) => `s${r}_${t} = 0i;`)}
    ${multiply}
    ${range(share.rows, (r) => scale(r, `let scale = ${scaleOf}; ${put(r)}`))}
    workgroupBarrier();
    ${own((r, t) => `f${r}_${t} = f${r}_${t} + ${place(r, t)};`)}`
    : `${multiply}
    workgroupBarrier();`;
  const last = (r: number, t: number): string => {
    const factor = `F(p.scales + first + tt + ${t}u)`;
    if (grouped) return `${place(r, t)} = f${r}_${t} * ${factor};`;
    return scale(r, `${place(r, t)} = f32(s${r}_${t}) * ${scaleOf} * ${factor};`);
  };
  return `let groups = (rows + 7u) >> 3u;
  let tr = (lid / ${tokens / share.tokens}u) * ${share.rows}u;
  let tt = (lid % ${tokens / share.tokens}u) * ${share.tokens}u;
  ${own((r, t) => `var s${r}_${t} = 0i;${grouped ? ` var f${r}_${t} = 0f;` : ''}`)}
  for (var c = 0u; c < ${Math.ceil(layout.columns / (4 * CHUNK_WORDS))}u; c++) {
    for (var i = lid; i < ${tokens * CHUNK_WORDS}u; i += ${threads}u) {
      let t = i / ${CHUNK_WORDS}u;
      let w = i % ${CHUNK_WORDS}u;
      ${activations(layout)}
    }${text}
    workgroupBarrier();${inside}
  }
  ${own(last)}
  workgroupBarrier();`;
}

/** Word w of the chunk of token t, as the layout's kernels read activations; beyond the last token any numbers. */
function activations(layout: LinearLayout): string {
  const to = `tokens8[t * ${CHUNK_STRIDE}u + w]`;
  const reads = readsOf(layout);
  if (reads !== 'wide') {
    return `${to} = A[p.${reads} + (first + t) * p.packedStride + c * ${CHUNK_WORDS}u + w];`;
  }
  return `let at = p.wide + (first + t) * p.wideStride + (c * ${CHUNK_WORDS}u + w) * 4u;
      ${to} = A[at] | (A[at + 1u] << 8u) | (A[at + 2u] << 16u) | (A[at + 3u] << 24u);`;
}
