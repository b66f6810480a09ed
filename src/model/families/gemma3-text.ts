import type { FamilySpec } from './family.js';
import { gemma2 } from './gemma2.js';

// Gemma 3 (arXiv 2503.19786), text only: Gemma 2’s block with norms of each head’s queries and keys instead of the caps, a
// sliding window in all but every sixth block, and another rotation in the blocks with a window.
export const gemma3Text: FamilySpec = {
  ...gemma2,
  modelType: 'gemma3_text',
  qkNorm: true,
  slidingWindow: { allBut: 6, key: 'sliding_window_pattern' },
  localRope: { key: 'rope_local_base_freq', fallback: 10_000 },
  defaults: {
    ...gemma2.defaults,
    rope_theta: 1_000_000,
    max_position_embeddings: 131_072,
    vocab_size: 262_208,
    attn_logit_softcapping: null,
    final_logit_softcapping: null,
  },
};
