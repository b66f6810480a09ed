// Which experts the tokens of a step go to, found on the device by the rule of the CPU (decoder/wasm/routes.ts): the k largest
// of the router's logits, ties to the lower index; rows sorted by expert, an expert's tokens in their order. In the arena
// at `a`: where each expert's rows begin [E + 1]; at `packed` the token of each row; at `wide` each token's rows [M, k]
// (first its experts); at `turned` their shares.

import { head, type Kernel, main } from './shader.js';

export type RouteShape = { readonly experts: number; readonly perToken: number; readonly normalised: boolean };

/** A thread a token: its experts and their shares. */
export function chooseKernel(threads: number, { experts, perToken: k, normalised }: RouteShape): Kernel {
  const chosen = `A[p.wide + r * ${k}u + o]`;
  return {
    key: ['choose', threads, experts, k, normalised].join(' '),
    code: () => `${head()}${main(threads)}
  let r = gid.x;
  if (r < A[p.count]) {
    let x = p.x + r * p.xs;
    for (var rank = 0u; rank < ${k}u; rank++) {
      var best = ${experts}u;
      for (var e = 0u; e < ${experts}u; e++) {
        var taken = false;
        for (var o = 0u; o < rank; o++) { if (${chosen} == e) { taken = true; } }
        if (!taken && (best == ${experts}u || F(x + e) > F(x + best))) { best = e; }
      }
      A[p.wide + r * ${k}u + rank] = best;
    }
    let largest = F(x + A[p.wide + r * ${k}u]);
    var total = 0f;
    ${
      normalised
        ? `for (var o = 0u; o < ${k}u; o++) { total += exp(F(x + ${chosen}) - largest); }`
        : `for (var e = 0u; e < ${experts}u; e++) { total += exp(F(x + e) - largest); }`
    }
    for (var o = 0u; o < ${k}u; o++) { G(p.turned + r * ${k}u + o, exp(F(x + ${chosen}) - largest) / total); }
  }
}`,
  };
}

/** One workgroup: rows of experts from their tokens. */
export function sortKernel(threads: number, { experts, perToken: k }: RouteShape): Kernel {
  return {
    key: ['sort', threads, experts, k].join(' '),
    code: () => `${head()}var<workgroup> starts: array<u32, ${experts + 1}>;
${main(threads)}
  let total = A[p.count] * ${k}u;
  for (var e = lid; e < ${experts}u; e += ${threads}u) {
    var count = 0u;
    for (var i = 0u; i < total; i++) { if (A[p.wide + i] == e) { count++; } }
    starts[e + 1u] = count;
  }
  if (lid == 0u) { starts[0] = 0u; }
  workgroupBarrier();
  if (lid == 0u) { for (var e = 0u; e < ${experts}u; e++) { starts[e + 1u] += starts[e]; } }
  workgroupBarrier();
  for (var e = lid; e < ${experts}u; e += ${threads}u) {
    A[p.a + e] = starts[e];
    if (e == ${experts - 1}u) { A[p.a + ${experts}u] = starts[${experts}]; }
    var row = starts[e];
    for (var i = 0u; i < total; i++) { if (A[p.wide + i] == e) { A[p.packed + row] = i / ${k}u; row++; } }
  }
  storageBarrier();
  workgroupBarrier();
  // A token's rows replace its experts: row of (token, e) is among e's, in the order of tokens.
  for (var i = lid; i < total; i += ${threads}u) {
    let e = A[p.wide + i];
    for (var row = starts[e]; row < starts[e + 1u]; row++) { if (A[p.packed + row] == i / ${k}u) { A[p.wide + i] = row; break; } }
  }
}`,
  };
}

/** y = Σ of a token's rows of x, each times its share, from the most probable on. */
export function combineKernel(threads: number, width: number, perToken: number): Kernel {
  return {
    key: ['combine', threads, width, perToken].join(' '),
    code: () => `${head()}${main(threads)}
  let i = gid.x;
  let r = wg.y;
  if (i < ${width}u) {
    var sum = 0f;
    for (var o = r * ${perToken}u; o < (r + 1u) * ${perToken}u; o++) { sum += F(p.turned + o) * F(p.x + A[p.wide + o] * p.xs + i); }
    G(p.y + r * p.ys + i, sum);
  }
}`,
  };
}
