import type { FamilySpec } from './family.js';
import { LLAMA_NAMES } from './names.js';

// Mixtral 8x7B and 8x22B (arXiv 2401.04088): Mistral's block with experts in place of the MLP, in every block.
export const mixtral: FamilySpec = {
  modelType: 'mixtral',
  architecture: 'mixture',
  names: {
    ...LLAMA_NAMES,
    experts: {
      router: 'block_sparse_moe.gate',
      before: 'block_sparse_moe.experts.',
      modules: { gate: 'w1', down: 'w2', up: 'w3' },
    },
  },
  bias: { qkv: false, o: false, mlp: false },
  slidingWindow: 'set',
  mixture: { normalised: true, someBlocks: false },
  defaults: {
    rms_norm_eps: 1e-5,
    rope_theta: 1_000_000,
    tie_word_embeddings: false,
    max_position_embeddings: 131_072,
    num_key_value_heads: 8,
    num_local_experts: 8,
    num_experts_per_tok: 2,
  },
};
