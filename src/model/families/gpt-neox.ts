import type { FamilySpec } from './family.js';

// GPT-NeoX and Pythia (arXiv 2204.06745, 2304.01373): attention and MLP side by side, a rotation of a quarter of each head,
// and one tensor in which every head has its q, k and v one after the other.
export const gptNeox: FamilySpec = {
  modelType: 'gpt_neox',
  architecture: 'gpt_neox',
  names: {
    bases: ['gpt_neox.', ''],
    embedding: 'embed_in',
    finalNorm: 'final_layer_norm',
    blocks: 'layers',
    head: ['lm_head', 'embed_out'],
    modules: {
      attentionNorm: 'input_layernorm',
      mlpNorm: 'post_attention_layernorm',
      qkv: 'attention.query_key_value',
      o: 'attention.dense',
      up: 'mlp.dense_h_to_4h',
      down: 'mlp.dense_4h_to_h',
    },
    buffers: ['.attention.bias', '.attention.masked_bias', '.rotary_emb.inv_freq'],
  },
  keys: { rope_theta: 'rotary_emb_base', rms_norm_eps: 'layer_norm_eps' },
  bias: {
    qkv: { key: 'attention_bias', fallback: true },
    o: { key: 'attention_bias', fallback: true },
    mlp: true,
  },
  norm: 'layer',
  parallel: { key: 'use_parallel_residual', fallback: true },
  partialRotary: { keys: ['partial_rotary_factor', 'rotary_pct'], fallback: 0.25 },
  defaults: { rms_norm_eps: 1e-5, rope_theta: 10_000, tie_word_embeddings: false, hidden_act: 'gelu' },
};
