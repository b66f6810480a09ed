import type { FamilySpec } from './family.js';
import { VIT_NAMES } from './names.js';

// ViT for image classification (arXiv 2010.11929), also the DeiTs without a distillation token.
export const vit: FamilySpec = {
  modelType: 'vit',
  architecture: 'opt',
  names: { ...VIT_NAMES, bases: ['vit.', ''] },
  keys: { rms_norm_eps: 'layer_norm_eps' },
  bias: { qkv: { key: 'qkv_bias', fallback: true }, o: true, mlp: true },
  norm: 'layer',
  causal: false,
  statesHeadDim: true,
  image: {
    patches: 'embeddings.patch_embeddings.projection',
    patchBias: true,
    tokens: ['embeddings.cls_token'],
    positions: 'embeddings.position_embeddings',
    interpolated: false,
    pool: 'first',
  },
  defaults: {
    hidden_size: 768,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    intermediate_size: 3072,
    rms_norm_eps: 1e-12,
    hidden_act: 'gelu',
  },
};
