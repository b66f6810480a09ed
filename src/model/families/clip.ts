import type { FamilySpec } from './family.js';
import type { Names } from './names.js';

/** Names that the towers of CLIP and SigLIP share. */
const TOWER_NAMES: Omit<Names, 'bases' | 'embedding' | 'finalNorm'> = {
  blocks: 'encoder.layers',
  head: [],
  modules: {
    attentionNorm: 'layer_norm1',
    mlpNorm: 'layer_norm2',
    q: 'self_attn.q_proj',
    k: 'self_attn.k_proj',
    v: 'self_attn.v_proj',
    o: 'self_attn.out_proj',
    up: 'mlp.fc1',
    down: 'mlp.fc2',
  },
  buffers: ['.embeddings.position_ids'],
};

const tower = {
  architecture: 'opt',
  keys: { rms_norm_eps: 'layer_norm_eps' },
  bias: { qkv: true, o: true, mlp: true },
  norm: 'layer',
} as const;

const defaults = { num_hidden_layers: 12, rms_norm_eps: 1e-5, hidden_act: 'quick_gelu', tie_word_embeddings: true };

/** The key of the width that images and texts share, in config.json of both towers. */
const projection = { below: false, bias: false, key: 'projection_dim', fallback: 512 } as const;

// CLIP's image tower (arXiv 2103.00020): a norm before the blocks, whose name transformers misspells.
export const clipVision: FamilySpec = {
  ...tower,
  modelType: 'clip_vision_model',
  names: {
    ...TOWER_NAMES,
    bases: ['vision_model.', ''],
    embedding: 'embeddings.patch_embedding',
    finalNorm: 'post_layernorm',
  },
  causal: false,
  image: {
    patches: 'embeddings.patch_embedding',
    patchBias: false,
    patch: 32,
    partial: true,
    tokens: ['embeddings.class_embedding'],
    flat: true,
    positions: 'embeddings.position_embedding.weight',
    stemNorm: { module: 'pre_layrnorm' },
    interpolated: false,
    pool: 'first',
  },
  head: { projection: { ...projection, module: 'visual_projection' } },
  defaults: { ...defaults, hidden_size: 768, num_attention_heads: 12, intermediate_size: 3072 },
};

// CLIP's text tower: causal, so what follows a text's end token changes nothing.
export const clipText: FamilySpec = {
  ...tower,
  modelType: 'clip_text_model',
  names: {
    ...TOWER_NAMES,
    bases: ['text_model.', ''],
    embedding: 'embeddings.token_embedding',
    positions: 'embeddings.position_embedding',
    finalNorm: 'final_layer_norm',
  },
  positions: { offset: 0 },
  head: { row: 'end', projection: { ...projection, module: 'text_projection' } },
  defaults: {
    ...defaults,
    vocab_size: 49_408,
    hidden_size: 512,
    num_attention_heads: 8,
    intermediate_size: 2048,
    max_position_embeddings: 77,
  },
};
