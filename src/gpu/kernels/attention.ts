// Attention over a cache of keys and values, float32 [sequences, positions, key-value heads · size], keys first. A workgroup has
// one query head of one token and goes through the positions in chunks with a running maximum and sum (Milakov and
// Gimelshein, arXiv 1805.02867), so a context may be as long as the cache. Chunks begin at the first position that the
// token sees, so its result does not depend on the step that it came in. Heads that are rotated or stored share a dispatch.
// Twins: `plainAttend`, `plainRotate`.

import { head, type Kernel, main, nameOf, reduce } from './shader.js';

/** Positions of a chunk. */
const CHUNK = 128;

/** Heads of a buffer, and where they go. */
export type HeadShape = {
  readonly heads: number;
  readonly size: number;
  /** Numbers of a head that rotate; 0 for a copy. */
  readonly rotary: number;
  /** Numbers from one head of x to the next. */
  readonly pitch: number;
  /** Side by side into y, or into the cache from `base` on, which has `positions` for each sequence. */
  readonly to: 'y' | { readonly base: number; readonly positions: number };
};

/** Heads of up to three buffers, each x rotated for A[positions + r], into y or the cache of A[sequences + r]. */
export function headsKernel(threads: number, parts: readonly HeadShape[]): Kernel {
  let end = 0;
  const texts = parts.map((shape, part) => {
    const begin = end;
    end += shape.heads * shape.size;
    return `if (gid.x >= ${begin}u && gid.x < ${end}u) {
    let n = gid.x - ${begin}u;
    ${headText(shape, part)}
  }`;
  });
  return {
    key: ['heads', threads, JSON.stringify(parts)].join(' '),
    code: () => `${head()}${main(threads)}
  let r = wg.y;
  ${texts.join('\n  ')}
}`,
  };
}

/** Number n of a part's heads. */
function headText({ heads, size, rotary, pitch, to }: HeadShape, part: number): string {
  const half = rotary / 2;
  const own = (name: 'x' | 'xs' | 'y' | 'ys'): string => `p.${nameOf(name, part)}`;
  const put = (value: string): string => (to === 'y' ? `G(y + i, ${value});` : `C[y + i] = ${value};`);
  const y =
    to === 'y'
      ? `${own('y')} + r * ${own('ys')} + h * ${size}u`
      : `${to.base}u + (A[p.sequences + r] * ${to.positions}u + A[p.positions + r]) * ${heads * size}u + h * ${size}u`;
  const rotated = `let at = A[p.positions + r] * ${half}u;
    if (i < ${half}u) { ${put(`F(x + i) * F(p.cos + at + i) - F(x + i + ${half}u) * F(p.sin + at + i)`)} }
    else if (i < ${rotary}u) { let j = i - ${half}u; ${put('F(x + i) * F(p.cos + at + j) + F(x + j) * F(p.sin + at + j)')} }
    else { ${put('F(x + i)')} }`;
  return `let h = n / ${size}u;
    let i = n % ${size}u;
    let x = ${own('x')} + r * ${own('xs')} + h * ${pitch}u;
    let y = ${y};
    ${rotary === 0 ? put('F(x + i)') : rotated}`;
}

export type AttendShape = {
  readonly size: number;
  readonly kvHeads: number;
  /** Query heads of a key-value head. */
  readonly shared: number;
  /** Positions a sequence has room for, and sequences. */
  readonly positions: number;
  readonly sequences: number;
  /** Positions that a token sees; 0 for all. */
  readonly window: number;
  readonly scale: number;
  /** 0 for none. */
  readonly cap: number;
};

export function attendKernel(threads: number, shape: AttendShape): Kernel {
  const { size, kvHeads, shared, positions, sequences, window, scale, cap } = shape;
  const stride = kvHeads * size;
  const values = sequences * positions * stride;
  const own = Array.from({ length: Math.ceil(size / threads) }, (_, k) => k);
  const at = (k: number): string => `lid + ${k * threads}u`;
  const score = cap > 0 ? `${cap}f * tanh(clamp(d * ${scale}f / ${cap}f, -15f, 15f))` : `d * ${scale}f`;
  return {
    key: ['attend', threads, JSON.stringify(shape)].join(' '),
    code: () => `${head()}var<workgroup> part: array<f32, ${threads}>;
var<workgroup> scores: array<f32, ${CHUNK}>;
var<workgroup> place: vec2u;
${main(threads)}
  let q = p.x + wg.y * p.xs + wg.x * ${size}u;
  if (lid == 0u) { place = vec2u(A[p.sequences + wg.y], A[p.positions + wg.y]); }
  let token = workgroupUniformLoad(&place);
  let end = token.y + 1u;
  let base = token.x * ${positions * stride}u + (wg.x / ${shared}u) * ${size}u;
  var first = 0u;
  ${window > 0 ? `if (end > ${window}u) { first = end - ${window}u; }` : ''}
  var most = -3.4e38f;
  var total = 0f;
  ${own.map((k) => `var y${k} = 0f;`).join(' ')}
  for (; first < end; first += ${CHUNK}u) {
    let count = min(${CHUNK}u, end - first);
    var acc = -3.4e38f;
    for (var t = lid; t < count; t += ${threads}u) {
      let k = base + (first + t) * ${stride}u;
      var d = 0f;
      for (var i = 0u; i < ${size}u; i++) { d += F(q + i) * C[k + i]; }
      scores[t] = ${score};
      acc = max(acc, scores[t]);
    }${reduce(threads, 'max')}
    let before = most;
    most = max(most, part[0]);
    workgroupBarrier();
    acc = 0f;
    for (var t = lid; t < count; t += ${threads}u) { scores[t] = exp(scores[t] - most); acc += scores[t]; }${reduce(threads, 'sum')}
    let keep = exp(before - most);
    total = total * keep + part[0];
    ${own
      .map(
        (k) => `if (${at(k)} < ${size}u) {
      y${k} *= keep;
      for (var t = 0u; t < count; t++) { y${k} += scores[t] * C[${values}u + base + (first + t) * ${stride}u + ${at(k)}]; }
    }`,
      )
      .join('\n    ')}
    workgroupBarrier();
  }
  ${own.map((k) => `if (${at(k)} < ${size}u) { G(p.y + wg.y * p.ys + wg.x * ${size}u + ${at(k)}, y${k} / total); }`).join('\n  ')}
}`,
  };
}
