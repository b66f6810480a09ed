// Rotary embedding and causal attention as opset 23 defines them, on 3-D inputs [B, T, heads · h].
//   rope:      (a, b) → (a cos − b sin, b cos + a sin), a the first and b the second half of a head, or of its first
//              rotary_embedding_dim values (the others are copied); cos and sin are rows of the caches
//              [positions, h / 2], chosen by position_ids [B, T]
//   attention: softmax(cap(scale · q·kᵀ) + mask) v per head; the mask is broadcast to [B, heads, T, S]; where softcap c
//              is not 0, cap s = c·tanh(s/c), as in ONNX Runtime and the corrected text (onnx/onnx#7867; the first text
//              capped the mask too); query head i reads key-value head ⌊i · kvHeads / heads⌋ (GQA)

import { logSoftmax } from './reduce.js';
import { expand } from './shapes.js';
import { mismatch, type Op, real, scalar, type Value } from './value.js';

function split(x: Value, heads: number, what: string): readonly [B: number, T: number, h: number] {
  const [B, T, width] = x.shape as [number, number, number];
  if (x.shape.length !== 3 || width % heads !== 0) mismatch(what, `[B, T, ${heads} × h]`, x.shape);
  return [B, T, width / heads];
}

function rotate(x: Value, cos: Value, sin: Value, positions: Value, heads: number, dims: number): Value {
  const [B, T, h] = split(x, heads, 'RotaryEmbedding');
  if (dims > h) mismatch('rotary_embedding_dim', `at most ${h}`, dims);
  const half = (dims || h) / 2;
  if (cos.shape[1] !== half || cos.shape.join() !== sin.shape.join()) mismatch('rope caches', [`n`, half], cos.shape);
  if (positions.shape.join() !== `${B},${T}`) mismatch('position_ids', [B, T], positions.shape);
  const y = real(x.shape, x.data.slice());
  for (let row = 0; row < B * T; row++) {
    const table = positions.data[row]! * half;
    if (!(table >= 0 && table < cos.data.length)) mismatch('position', `< ${cos.shape[0]}`, positions.data[row]);
    for (let head = 0; head < heads; head++) {
      const start = (row * heads + head) * h;
      for (let i = 0; i < half; i++) {
        const a = x.data[start + i]!;
        const b = x.data[start + half + i]!;
        const c = cos.data[table + i]!;
        const s = sin.data[table + i]!;
        y.data[start + i] = a * c - b * s;
        y.data[start + half + i] = b * c + a * s;
      }
    }
  }
  return y;
}

type AttentionSettings = {
  readonly heads: number;
  readonly kvHeads: number;
  readonly causal: boolean;
  readonly scale: number | undefined;
  /** 0 for no cap. */
  readonly softcap: number;
};

function attend(
  q: Value,
  k: Value,
  v: Value,
  mask: Value | undefined,
  { heads, kvHeads, causal, scale, softcap }: AttentionSettings,
): Value {
  const [B, T, h] = split(q, heads, 'Attention: Q');
  const [kB, S, kh] = split(k, kvHeads, 'Attention: K');
  const [vB, vS, vh] = split(v, kvHeads, 'Attention: V');
  if (kB !== B || vB !== B || kh !== h || vS !== S || heads % kvHeads !== 0) mismatch('Attention', q.shape, k.shape);
  const hidden = mask && expand(mask, [B, heads, T, S]).data;
  const factor = scale ?? 1 / Math.sqrt(h);
  const y = real([B, T, heads * vh]);
  for (let b = 0; b < B; b++) {
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor((head * kvHeads) / heads);
      for (let t = 0; t < T; t++) {
        const seen = causal ? Math.min(t + 1, S) : S;
        const query = ((b * T + t) * heads + head) * h;
        const scores = new Float64Array(seen);
        for (let s = 0; s < seen; s++) {
          const key = ((b * S + s) * kvHeads + kvHead) * h;
          for (let i = 0; i < h; i++) scores[s]! += q.data[query + i]! * k.data[key + i]!;
          const score = scores[s]! * factor;
          const capped = softcap === 0 ? score : softcap * Math.tanh(score / softcap);
          scores[s] = capped + (hidden ? hidden[((b * heads + head) * T + t) * S + s]! : 0);
        }
        const logs = logSoftmax(scores);
        const out = ((b * T + t) * heads + head) * vh;
        for (let s = 0; s < seen; s++) {
          const value = ((b * S + s) * kvHeads + kvHead) * vh;
          const weight = Math.exp(logs[s]!);
          for (let i = 0; i < vh; i++) y.data[out + i]! += weight * v.data[value + i]!;
        }
      }
    }
  }
  return y;
}

export const RotaryEmbedding: Op = {
  attributes: ['num_heads', 'rotary_embedding_dim'],
  inputs: [4, 4],
  run: ([x, cos, sin, positions], attributes) =>
    rotate(x!, cos!, sin!, positions!, scalar(attributes, 'num_heads'), scalar(attributes, 'rotary_embedding_dim', 0)),
};
export const Attention: Op = {
  attributes: ['is_causal', 'q_num_heads', 'kv_num_heads', 'scale', 'softcap'],
  inputs: [3, 4],
  run: ([q, k, v, mask], attributes) =>
    attend(q!, k!, v!, mask, {
      heads: scalar(attributes, 'q_num_heads'),
      kvHeads: scalar(attributes, 'kv_num_heads'),
      causal: scalar(attributes, 'is_causal', 0) !== 0,
      scale: attributes.scale ? scalar(attributes, 'scale') : undefined,
      softcap: scalar(attributes, 'softcap', 0),
    }),
};
