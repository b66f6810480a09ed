// What each tensor of a file becomes in the checkpoint: its name, its shape and how its numbers change. Every tensor that
// the architecture needs has to be there in its shape, and every tensor of the file has to be one that we read: an unknown
// one may change what the model computes.

import type { GgufShape } from './config.js';
import type { GgufHeader, GgufTensor } from './header.js';
import { refuseTensor, show, unsupportedGguf } from './refuse.js';

/**
 * `unpermute`: llama.cpp stores LLaMA's queries and keys with the two halves of each head interleaved. `minus one`: it stores
 * Gemma's norms with the 1 added that the model adds.
 */
export type Change = 'unpermute' | 'minus one' | undefined;

export type TwinTensor = {
  readonly name: string;
  readonly from: GgufTensor;
  readonly change: Change;
};

/** Divisors of the rotation's frequencies; not a tensor of the checkpoint. */
export const FREQUENCIES = 'rope_freqs.weight';

type Wanted = { readonly from: string; readonly name: string; readonly shape: readonly number[] };

/** @throws CheckpointError E_CHECKPOINT_GGUF, UnsupportedError E_UNSUPPORTED_GGUF */
export function planTensors({ path, tensors }: GgufHeader, shape: GgufShape): readonly TwinTensor[] {
  const planned: TwinTensor[] = [];
  const known = new Set(isLlama(shape) ? [FREQUENCIES] : []);
  for (const { from, name, shape: expected } of wantedTensors(shape)) {
    const found = tensors.get(from);
    if (!found) throw refuseTensor(path, from, 'this tensor, which the architecture needs', 'none');
    if (String(found.shape) !== String(expected)) {
      throw refuseTensor(path, from, `shape ${show(expected)}, as the keys say`, show(found.shape));
    }
    known.add(from);
    planned.push({ name, from: found, change: changeOf(shape, from) });
  }
  for (const name of tensors.keys()) {
    if (known.has(name)) continue;
    const got = `tensor ${show(name)} (it may change the numbers)`;
    const next = 'start from the safetensors checkpoint that it was made from';
    throw unsupportedGguf(path, got, `only tensors of ${shape.architecture} that we read`, next);
  }
  return planned;
}

const isLlama = ({ architecture }: GgufShape): boolean => architecture === 'llama' || architecture === 'deci';

function changeOf(shape: GgufShape, name: string): Change {
  const { architecture } = shape;
  if (isLlama(shape) && /\.attn_[qk]\./.test(name)) return 'unpermute';
  return architecture === 'gemma3' && name.endsWith('norm.weight') ? 'minus one' : undefined;
}

function wantedTensors(shape: GgufShape): readonly Wanted[] {
  const { architecture, hidden: D, vocabulary: V, headDim } = shape;
  const isGemma = architecture === 'gemma3';
  const wanted: Wanted[] = [{ from: 'token_embd.weight', name: 'model.embed_tokens.weight', shape: [V, D] }];
  for (const [block, { heads, kvHeads, intermediate: F }] of shape.widths.entries()) {
    const [Q, K] = [heads * headDim, kvHeads * headDim];
    const add = (from: string, to: string, ...size: readonly number[]): void => {
      wanted.push({ from: `blk.${block}.${from}`, name: `model.layers.${block}.${to}`, shape: size });
    };
    /** A linear, with its bias where there is one. */
    const linear = (from: string, to: string, rows: number, columns: number, biased: boolean): void => {
      add(`${from}.weight`, `${to}.weight`, rows, columns);
      if (biased) add(`${from}.bias`, `${to}.bias`, rows);
    };
    const { attention, mlp } = shape.biases;
    add('attn_norm.weight', 'input_layernorm.weight', D);
    linear('attn_q', 'self_attn.q_proj', Q, D, attention);
    linear('attn_k', 'self_attn.k_proj', K, D, attention);
    linear('attn_v', 'self_attn.v_proj', K, D, attention);
    linear('attn_output', 'self_attn.o_proj', D, Q, attention && architecture !== 'qwen2');
    if (architecture === 'qwen3' || isGemma) {
      add('attn_q_norm.weight', 'self_attn.q_norm.weight', headDim);
      add('attn_k_norm.weight', 'self_attn.k_norm.weight', headDim);
    }
    if (isGemma) add('post_attention_norm.weight', 'post_attention_layernorm.weight', D);
    add('ffn_norm.weight', `${isGemma ? 'pre_feedforward' : 'post_attention'}_layernorm.weight`, D);
    linear('ffn_gate', 'mlp.gate_proj', F, D, mlp);
    linear('ffn_up', 'mlp.up_proj', F, D, mlp);
    linear('ffn_down', 'mlp.down_proj', D, F, mlp);
    if (isGemma) add('post_ffw_norm.weight', 'post_feedforward_layernorm.weight', D);
  }
  wanted.push({ from: 'output_norm.weight', name: 'model.norm.weight', shape: [D] });
  if (!shape.tied) wanted.push({ from: 'output.weight', name: 'lm_head.weight', shape: [V, D] });
  return wanted;
}
