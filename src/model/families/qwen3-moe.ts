import type { FamilySpec } from './family.js';
import { LLAMA_NAMES } from './names.js';
import { qwen3 } from './qwen3.js';

// Qwen3's mixtures of experts (arXiv 2505.09388), 30B-A3B and 235B-A22B: Qwen3's block with many small experts. Config keys
// say which blocks have one MLP instead, and whether the weights of a token's experts are scaled to add up to 1. A window
// applies to all blocks.
export const qwen3Moe: FamilySpec = {
  ...qwen3,
  modelType: 'qwen3_moe',
  architecture: 'mixture',
  names: {
    ...LLAMA_NAMES,
    experts: {
      router: 'mlp.gate',
      before: 'mlp.experts.',
      modules: { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
    },
  },
  keys: { num_local_experts: 'num_experts' },
  slidingWindow: { key: 'use_sliding_window', inAll: true },
  mixture: { width: 'moe_intermediate_size', normalised: { key: 'norm_topk_prob' }, someBlocks: true },
  defaults: {
    ...qwen3.defaults,
    max_position_embeddings: 32_768,
    num_key_value_heads: 4,
    sliding_window: 4096,
    moe_intermediate_size: 768,
    num_local_experts: 128,
    num_experts_per_tok: 8,
  },
};
