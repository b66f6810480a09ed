import type { FamilySpec } from './family.js';
import { LLAMA_NAMES } from './names.js';

// Gemma 2 (arXiv 2408.00118): norms before and after attention and MLP, scales of 1 + weight, embeddings times √D, every
// other block with a sliding window, and caps on the logits of attention and head.
export const gemma2: FamilySpec = {
  modelType: 'gemma2',
  architecture: 'gemma',
  names: {
    ...LLAMA_NAMES,
    modules: {
      ...LLAMA_NAMES.modules,
      attentionPostNorm: 'post_attention_layernorm',
      mlpNorm: 'pre_feedforward_layernorm',
      mlpPostNorm: 'post_feedforward_layernorm',
    },
  },
  keys: { hidden_act: 'hidden_activation' },
  only: { use_bidirectional_attention: [false] },
  bias: { qkv: { key: 'attention_bias' }, o: { key: 'attention_bias' }, mlp: false },
  norm: 'rms+1',
  scaledEmbedding: true,
  slidingWindow: { allBut: 2, key: 'sliding_window_pattern' },
  defaults: {
    rms_norm_eps: 1e-6,
    rope_theta: 10_000,
    tie_word_embeddings: true,
    hidden_act: 'gelu_pytorch_tanh',
    max_position_embeddings: 8192,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    query_pre_attn_scalar: 256,
    sliding_window: 4096,
    attn_logit_softcapping: 50,
    final_logit_softcapping: 30,
  },
};
