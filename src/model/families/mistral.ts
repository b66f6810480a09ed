import type { FamilySpec } from './family.js';
import { LLAMA_NAMES } from './names.js';

// Mistral 7B and its descendants (arXiv 2310.06825): LLaMA's block; the first release attends through a sliding window.
export const mistral: FamilySpec = {
  modelType: 'mistral',
  architecture: 'llama',
  names: LLAMA_NAMES,
  bias: { qkv: false, o: false, mlp: false },
  slidingWindow: 'set',
  defaults: { rms_norm_eps: 1e-6, rope_theta: 10_000, tie_word_embeddings: false },
};
