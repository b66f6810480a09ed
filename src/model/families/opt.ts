import type { FamilySpec } from './family.js';

// OPT (arXiv 2205.01068), all sizes: learned positions that start at row 2, ReLU. OPT-350m puts its norms after attention
// and MLP, has no last norm, and an embedding of half the width between two projections, which no criterion prunes.
export const opt: FamilySpec = {
  modelType: 'opt',
  architecture: 'opt',
  names: {
    bases: ['model.', ''],
    embedding: 'decoder.embed_tokens',
    positions: 'decoder.embed_positions',
    projectIn: 'decoder.project_in',
    projectOut: 'decoder.project_out',
    finalNorm: 'decoder.final_layer_norm',
    blocks: 'decoder.layers',
    head: ['lm_head'],
    modules: {
      attentionNorm: 'self_attn_layer_norm',
      mlpNorm: 'final_layer_norm',
      q: 'self_attn.q_proj',
      k: 'self_attn.k_proj',
      v: 'self_attn.v_proj',
      o: 'self_attn.out_proj',
      up: 'fc1',
      down: 'fc2',
    },
    buffers: [],
  },
  keys: { intermediate_size: 'ffn_dim', hidden_act: 'activation_function' },
  bias: {
    qkv: { key: 'enable_bias', fallback: true },
    o: { key: 'enable_bias', fallback: true },
    mlp: { key: 'enable_bias', fallback: true },
  },
  norm: 'layer',
  normAffine: { key: 'layer_norm_elementwise_affine', fallback: true },
  normFirst: { key: 'do_layer_norm_before', fallback: true },
  positions: { offset: 2 },
  defaults: { rms_norm_eps: 1e-5, tie_word_embeddings: true, hidden_act: 'relu' },
};
