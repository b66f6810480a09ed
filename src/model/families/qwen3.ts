import type { FamilySpec } from './family.js';
import { LLAMA_NAMES } from './names.js';

// Qwen3 (arXiv 2505.09388): no biases unless asked for, and an RMS norm over each head's queries and keys.
export const qwen3: FamilySpec = {
  modelType: 'qwen3',
  shape: 'llama',
  names: LLAMA_NAMES,
  bias: { qkv: { key: 'attention_bias' }, o: { key: 'attention_bias' }, mlp: false },
  qkNorm: true,
  slidingWindow: { key: 'use_sliding_window' },
  defaults: { normEps: 1e-6, ropeTheta: 10_000, tied: false },
};
