import type { FamilySpec } from './family.js';
import { LLAMA_NAMES } from './names.js';

// LLaMA 1–3.x and everything that calls itself `llama` (arXiv 2302.13971, 2307.09288, 2407.21783).
export const llama: FamilySpec = {
  modelType: 'llama',
  architecture: 'llama',
  names: LLAMA_NAMES,
  bias: { qkv: { key: 'attention_bias' }, o: { key: 'attention_bias' }, mlp: { key: 'mlp_bias' } },
  defaults: { rms_norm_eps: 1e-6, rope_theta: 10_000, tie_word_embeddings: false },
};
