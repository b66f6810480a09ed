import type { FamilySpec } from './family.js';
import { LLAMA_NAMES } from './names.js';

// Qwen2 and Qwen2.5 (arXiv 2407.10671): LLaMA's block with biases on the queries, keys and values.
export const qwen2: FamilySpec = {
  modelType: 'qwen2',
  shape: 'llama',
  names: LLAMA_NAMES,
  bias: { qkv: true, o: false, mlp: false },
  slidingWindow: { key: 'use_sliding_window' },
  defaults: { normEps: 1e-6, ropeTheta: 10_000, tied: false },
};
