import type { FamilySpec } from './family.js';
import { LLAMA_NAMES } from './names.js';

// Mistral 7B and its descendants (arXiv 2310.06825): LLaMA's block; the first release attends through a sliding window.
export const mistral: FamilySpec = {
  modelType: 'mistral',
  shape: 'llama',
  names: LLAMA_NAMES,
  bias: { qkv: false, o: false, mlp: false },
  slidingWindow: 'set',
  defaults: { normEps: 1e-6, ropeTheta: 10_000, tied: false },
};
