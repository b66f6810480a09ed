import type { FamilySpec } from './family.js';
import { VIT_NAMES } from './names.js';
import { vit } from './vit.js';

// DINOv2 with a linear classifier (arXiv 2304.07193): layer scales, and in the largest size a gated MLP. Positions are always
// interpolated to the image's size.
export const dinov2: FamilySpec = {
  ...vit,
  modelType: 'dinov2',
  names: {
    ...VIT_NAMES,
    bases: ['dinov2.', ''],
    modules: {
      ...VIT_NAMES.modules,
      attentionNorm: 'norm1',
      mlpNorm: 'norm2',
      up: 'mlp.fc1',
      down: 'mlp.fc2',
    },
    gatedModules: { gate_up: 'mlp.weights_in', down: 'mlp.weights_out' },
    extras: { attentionScale: 'layer_scale1.lambda1', mlpScale: 'layer_scale2.lambda1' },
    buffers: ['.embeddings.mask_token'],
  },
  layerScale: true,
  gated: { key: 'use_swiglu_ffn' },
  image: { ...vit.image!, interpolated: true, pool: 'first+mean' },
  defaults: {
    hidden_size: 768,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    mlp_ratio: 4,
    rms_norm_eps: 1e-6,
    hidden_act: 'gelu',
  },
};
