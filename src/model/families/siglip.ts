import { clipText, clipVision } from './clip.js';
import type { FamilySpec } from './family.js';

const defaults = {
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  intermediate_size: 3072,
  rms_norm_eps: 1e-6,
  hidden_act: 'gelu_pytorch_tanh',
  tie_word_embeddings: true,
};

// SigLIP's image tower (arXiv 2303.15343): no class token; a query of its own pools the patches. SigLIP 2 at one resolution is the same.
export const siglipVision: FamilySpec = {
  ...clipVision,
  modelType: 'siglip_vision_model',
  image: {
    patches: 'embeddings.patch_embedding',
    patchBias: true,
    partial: true,
    tokens: [],
    flat: true,
    positions: 'embeddings.position_embedding.weight',
    interpolated: false,
    pool: 'attention',
  },
  head: {},
  defaults,
};

// SigLIP's text tower: every token sees all others, pads among them, and the last one is read.
export const siglipText: FamilySpec = {
  ...clipText,
  modelType: 'siglip_text_model',
  causal: false,
  head: {
    row: 'last',
    projection: { module: 'head', below: true, bias: true, key: 'projection_size', fallback: undefined },
  },
  defaults: { ...defaults, vocab_size: 32_000, max_position_embeddings: 64 },
};
