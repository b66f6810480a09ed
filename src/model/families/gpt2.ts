import type { FamilySpec } from './family.js';

// GPT-2 (Radford et al. 2019): learned positions, q, k and v in one tensor, and weights that lie [in, out].
export const gpt2: FamilySpec = {
  modelType: 'gpt2',
  architecture: 'gpt2',
  names: {
    bases: ['transformer.', ''],
    embedding: 'wte',
    positions: 'wpe',
    finalNorm: 'ln_f',
    blocks: 'h',
    head: ['lm_head'],
    modules: {
      attentionNorm: 'ln_1',
      mlpNorm: 'ln_2',
      qkv: 'attn.c_attn',
      o: 'attn.c_proj',
      up: 'mlp.c_fc',
      down: 'mlp.c_proj',
    },
    buffers: ['.attn.bias', '.attn.masked_bias'],
  },
  keys: {
    hidden_size: 'n_embd',
    intermediate_size: 'n_inner',
    num_hidden_layers: 'n_layer',
    num_attention_heads: 'n_head',
    max_position_embeddings: 'n_positions',
    hidden_act: 'activation_function',
    rms_norm_eps: 'layer_norm_epsilon',
  },
  only: {
    scale_attn_weights: [true],
    // With this, a block’s numbers would depend on how many blocks come before it.
    scale_attn_by_inverse_layer_idx: [false],
    add_cross_attention: [false],
  },
  bias: { qkv: true, o: true, mlp: true },
  norm: 'layer',
  transposed: true,
  positions: { offset: 0 },
  defaults: { rms_norm_eps: 1e-5, tie_word_embeddings: true, hidden_act: 'gelu_new', max_position_embeddings: 1024 },
  expansion: 4,
};
