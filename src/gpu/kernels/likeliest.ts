// The token with the largest logit, the lowest of equals, by the rule of `argmax` on the processor (generation/sampler.ts): −0
// equals 0, and a NaN comes before everything, the first of them, so that its row is refused there by name. Logits are
// compared as integers, which no driver flushes or reorders. Some workgroups share a row; the last one then makes the
// token the row's next input, so that steps can be encoded before their tokens are known.

import { head, type Kernel, main } from './shader.js';

/** Workgroups of a row. */
export const LIKELIEST_GROUPS = 64;

const declarations = (threads: number): string => `var<workgroup> keys: array<u32, ${threads}>;
var<workgroup> ids: array<u32, ${threads}>;
`;

/** Puts the best key of all threads' `key` and `id` into the first place: the largest, then the lowest id. */
const reduceBest = (threads: number): string => `
  keys[lid] = key;
  ids[lid] = id;
  workgroupBarrier();
  for (var s = ${threads / 2}u; s >= 1u; s = s >> 1u) {
    if (lid < s && (keys[lid + s] > keys[lid] || (keys[lid + s] == keys[lid] && ids[lid + s] < ids[lid]))) {
      keys[lid] = keys[lid + s];
      ids[lid] = ids[lid + s];
    }
    workgroupBarrier();
  }`;

/** The best of each workgroup's logits, x of a row: pairs of key and id at y, of a row side by side. */
export const likeliestKernel = (threads: number, width: number): Kernel => ({
  key: ['likeliest', threads, width].join(' '),
  code: () => `${head()}${declarations(threads)}
fn order(bits: u32) -> u32 {
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return 0xffffffffu; }
  if (bits == 0x80000000u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}
${main(threads)}
  let x = p.x + wg.y * p.xs;
  var key = 0u;
  var id = 0xffffffffu;
  for (var i = wg.x * ${threads}u + lid; i < ${width}u; i += ${LIKELIEST_GROUPS * threads}u) {
    let own = order(A[x + i]);
    if (own > key) { key = own; id = i; }
  }${reduceBest(threads)}
  if (lid == 0u) {
    let y = p.y + 2u * (wg.y * ${LIKELIEST_GROUPS}u + wg.x);
    A[y] = keys[0];
    A[y + 1u] = ids[0];
  }
}`,
});

/** The best of a row's pairs at y: its id and logit at `a`, the row's next input, and its position one further. */
export const nextKernel = (threads: number): Kernel => ({
  key: ['next', threads].join(' '),
  code: () => `${head()}${declarations(threads)}${main(threads)}
  var key = 0u;
  var id = 0xffffffffu;
  for (var i = lid; i < ${LIKELIEST_GROUPS}u; i += ${threads}u) {
    let pair = p.y + 2u * (wg.y * ${LIKELIEST_GROUPS}u + i);
    if (A[pair] > key || (A[pair] == key && A[pair + 1u] < id)) { key = A[pair]; id = A[pair + 1u]; }
  }${reduceBest(threads)}
  if (lid == 0u) {
    let r = wg.y;
    A[p.a + 2u * r] = ids[0];
    A[p.a + 2u * r + 1u] = A[p.x + r * p.xs + ids[0]];
    A[p.ids + r] = ids[0];
    A[p.positions + r] += 1u;
    A[p.places + r] += 1u;
  }
}`,
});
