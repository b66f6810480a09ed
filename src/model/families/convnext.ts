import type { FamilySpec } from './family.js';
import type { Names } from './names.js';

const NAMES: Omit<Names, 'bases'> = {
  embedding: 'embeddings.patch_embeddings',
  finalNorm: 'layernorm',
  blocks: 'encoder.stages',
  head: ['classifier'],
  modules: { mlpNorm: 'layernorm', up: 'pwconv1', down: 'pwconv2' },
  extras: {
    mlpScale: 'layer_scale_parameter',
    'depthwise.weight': 'dwconv.weight',
    'depthwise.bias': 'dwconv.bias',
    'response.weight': 'grn.weight',
    'response.bias': 'grn.bias',
    'halving.norm.weight': 'downsampling_layer.0.weight',
    'halving.norm.bias': 'downsampling_layer.0.bias',
    'halving.weight': 'downsampling_layer.1.weight',
    'halving.bias': 'downsampling_layer.1.bias',
  },
  buffers: [],
};

// ConvNeXt (arXiv 2201.03545): stages that halve the image. ε of all norms but the last is 1e-6, whatever config.json says.
export const convnext: FamilySpec = {
  modelType: 'convnext',
  architecture: 'convnext',
  names: { ...NAMES, bases: ['convnext.', ''] },
  keys: { rms_norm_eps: 'layer_norm_eps' },
  bias: { qkv: true, o: true, mlp: true },
  norm: 'layer',
  causal: false,
  layerScale: true,
  image: {
    patches: 'embeddings.patch_embeddings',
    patchBias: true,
    tokens: [],
    stemNorm: { module: 'embeddings.layernorm', eps: 1e-6 },
    interpolated: true,
    pool: 'mean',
    staged: true,
  },
  defaults: { rms_norm_eps: 1e-12, hidden_act: 'gelu', layer_scale_init_value: 1e-6 },
};

// ConvNeXt V2 (arXiv 2301.00808): a global response norm in place of the layer scale.
export const convnextv2: FamilySpec = {
  ...convnext,
  modelType: 'convnextv2',
  names: { ...NAMES, bases: ['convnextv2.', ''] },
  layerScale: false,
  image: { ...convnext.image!, response: true },
};
