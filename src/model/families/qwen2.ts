import type { FamilySpec } from './family.js';
import { LLAMA_NAMES } from './names.js';

// Qwen2 and Qwen2.5 (arXiv 2407.10671): LLaMA's block with biases on the queries, keys and values.
export const qwen2: FamilySpec = {
  modelType: 'qwen2',
  architecture: 'llama',
  names: LLAMA_NAMES,
  bias: { qkv: true, o: false, mlp: false },
  slidingWindow: { key: 'use_sliding_window' },
  defaults: { rms_norm_eps: 1e-6, rope_theta: 10_000, tie_word_embeddings: false },
};
