import type { FamilySpec } from './family.js';
import { LLAMA_NAMES } from './names.js';

// Qwen3 (arXiv 2505.09388): no biases unless config.json turns them on, and an RMS norm over each head’s queries and keys.
export const qwen3: FamilySpec = {
  modelType: 'qwen3',
  architecture: 'llama',
  names: LLAMA_NAMES,
  bias: { qkv: { key: 'attention_bias' }, o: { key: 'attention_bias' }, mlp: false },
  qkNorm: true,
  slidingWindow: { key: 'use_sliding_window' },
  defaults: { rms_norm_eps: 1e-6, rope_theta: 10_000, tie_word_embeddings: false },
};
