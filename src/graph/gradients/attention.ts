// Attention and the rotary embedding. With r query heads to a key-value head, queries and outputs are brought to
// [B, K, r·Q, h] and keys and values to [B, K, S, h], so that one product sums dk and dv over the r heads by itself.
//   S = scale·q·kᵀ, capped: c·tanh(S/c), + mask;  P = softmax S        computed again; of the forward only y is used
//   dv = Pᵀ·dy;  dP = dy·vᵀ;  dS = P ⊙ (dP − rowsum(dy ⊙ y)), capped: ⊙ (1 − tanh²);  dq = scale·dS·k;  dk = dSᵀ·(scale·q)
// A rotation's transpose is the rotation by −sin; a factor in both tables stays.

import { int, ints, type Node, numberOf } from '../graph.js';
import type { Size } from '../sizes.js';
import { type Backward, type Rule, refusal } from './backward.js';

export const RotaryEmbedding: Rule = {
  attributes: ['num_heads', 'rotary_embedding_dim'],
  apply: (back, { inputs: [x, cos, sin, positions], attributes }, [dy]) =>
    back.give(x, () => back.op('RotaryEmbedding', [dy!, cos!, back.op('Neg', [sin!]), positions!], attributes)),
};

/** Between [B, T, heads · width] and the shapes above. */
function layoutOf(back: Backward, B: Size, K: number, r: number) {
  const transpose = (x: string, order: readonly number[]): string => back.op('Transpose', [x], { perm: ints(order) });
  return {
    transpose,
    group: (x: string, Q: number, width: number): string =>
      r === 1
        ? transpose(back.reshape(x, [B, Q, K, width]), [0, 2, 1, 3])
        : back.reshape(transpose(back.reshape(x, [B, Q, K, r, width]), [0, 2, 3, 1, 4]), [B, K, r * Q, width]),
    ungroup: (x: string, Q: number, width: number): string =>
      r === 1
        ? back.reshape(transpose(x, [0, 2, 1, 3]), [B, Q, K * width])
        : back.reshape(transpose(back.reshape(x, [B, K, r, Q, width]), [0, 3, 1, 2, 4]), [B, Q, K * r * width]),
    heads: (x: string, S: number, width: number): string => transpose(back.reshape(x, [B, S, K, width]), [0, 2, 1, 3]),
    /** Keys or values as columns, [B, K, width, S]. */
    columns: (x: string, S: number, width: number): string =>
      transpose(back.reshape(x, [B, S, K, width]), [0, 2, 3, 1]),
    join: (x: string, S: number, width: number): string => back.reshape(transpose(x, [0, 2, 1, 3]), [B, S, K * width]),
  };
}

export const Attention: Rule = {
  attributes: ['is_causal', 'q_num_heads', 'kv_num_heads', 'scale', 'softcap'],
  apply: (back, node, [dy]) => {
    const [q, k, v, mask] = node.inputs as [string, string, string, string?];
    const { attributes } = node;
    if (back.isLive(mask)) throw refusal(node, 'that of a mask is not implemented');
    const [B, ...sizes] = back.shapeOf(q) as readonly [Size, Size, Size];
    const [, S] = back.shapeOf(k);
    const [Q, width] = sizes;
    if (typeof Q !== 'number' || typeof S !== 'number' || typeof width !== 'number') {
      throw refusal(node, 'the numbers of queries and keys are known at run time only');
    }
    const [heads, K] = [numberOf(attributes.q_num_heads, 1), numberOf(attributes.kv_num_heads, 1)];
    const r = heads / K;
    const h = width / heads;
    const hv = Number(back.shapeOf(v)[2]) / K;
    const cap = numberOf(attributes.softcap, 0);
    const scale = back.scalar(numberOf(attributes.scale, 1 / Math.sqrt(h)));
    const { transpose, group, ungroup, heads: rows, columns, join } = layoutOf(back, B, K, r);

    const queries = back.multiply(group(q, Q, h), scale);
    const products = back.op('MatMul', [queries, columns(k, S, h)]);
    const tanh = cap === 0 ? undefined : back.op('Tanh', [back.multiply(products, back.scalar(1 / cap))]);
    const capped = tanh === undefined ? products : back.multiply(tanh, back.scalar(cap));
    const hidden = maskOf(back, node, mask, [K, r, Q, S]);
    const scores =
      hidden === undefined
        ? capped
        : back.reshape(back.op('Add', [back.reshape(capped, [B, K, r, Q, S]), hidden]), [B, K, r * Q, S]);
    const P = back.op('Softmax', [scores], { axis: int(-1) });
    const outputs = group(dy!, Q, hv);
    back.give(v, () => join(back.op('MatMul', [transpose(P, [0, 1, 3, 2]), outputs]), S, hv));
    if (!back.isLive(q) && !back.isLive(k)) return;
    const dP = back.op('MatMul', [outputs, columns(v, S, hv)]);
    const along = back.sum(back.multiply(outputs, group(node.outputs[0]!, Q, hv)), [-1], true);
    const dScores = back.multiply(P, back.op('Sub', [dP, along]));
    const dS =
      tanh === undefined
        ? dScores
        : back.multiply(dScores, back.op('Sub', [back.scalar(1), back.multiply(tanh, tanh)]));
    back.give(q, () => back.multiply(ungroup(back.op('MatMul', [dS, rows(k, S, h)]), Q, h), scale));
    back.give(k, () => join(back.op('MatMul', [transpose(dS, [0, 1, 3, 2]), queries]), S, h));
  },
};

/** The mask as something to add to [B, K, r, Q, S]. */
function maskOf(
  back: Backward,
  node: Node,
  mask: string | undefined,
  [K, r, Q, S]: readonly [number, number, number, number],
): string | undefined {
  if (numberOf(node.attributes.is_causal, 0) !== 0) {
    if (mask !== undefined) throw refusal(node, 'that of a causal one with a mask is not implemented');
    const values = new Float32Array(Q * S).fill(Number.NEGATIVE_INFINITY);
    for (let t = 0; t < Q; t++) values.fill(0, t * S, Math.min(t * S + t + 1, (t + 1) * S));
    return back.constant(`causal[${Q},${S}]`, values, [Q, S]);
  }
  if (mask === undefined) return undefined;
  const shape = back.shapeOf(mask);
  if (shape.length === 2) return mask;
  const [batch, ofHeads] = shape;
  if (shape.length !== 4) throw refusal(node, `that of a mask of rank ${shape.length} is not implemented`);
  return back.reshape(mask, [batch!, ...(ofHeads === 1 ? [1, 1] : [K, r]), ...shape.slice(2)]);
}
