import type { FamilySpec } from './family.js';
import { LLAMA_NAMES } from './names.js';

// Phi-3, Phi-3.5 and Phi-4 (arXiv 2404.14219): LLaMA’s block with q, k and v in one tensor, gate and up in another. Each of
// the two counts as one linear, as it is one module for Wanda and SparseGPT: all its rows read the same input.
export const phi3: FamilySpec = {
  modelType: 'phi3',
  architecture: 'llama',
  names: {
    ...LLAMA_NAMES,
    modules: {
      attentionNorm: 'input_layernorm',
      mlpNorm: 'post_attention_layernorm',
      qkv: 'self_attn.qkv_proj',
      o: 'self_attn.o_proj',
      gate_up: 'mlp.gate_up_proj',
      down: 'mlp.down_proj',
    },
  },
  bias: { qkv: false, o: false, mlp: false },
  joined: true,
  partialRotary: { keys: ['partial_rotary_factor'], fallback: 1 },
  slidingWindow: 'set',
  defaults: { rms_norm_eps: 1e-5, rope_theta: 10_000, tie_word_embeddings: false, max_position_embeddings: 4096 },
};
