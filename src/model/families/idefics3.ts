import type { FamilySpec } from './family.js';
import { siglipVision } from './siglip.js';
import type { TowersSpec } from './towers-spec.js';

// Idefics3 (arXiv 2408.12637) and SmolVLM (arXiv 2504.05299): a SigLIP tower, whose tokens are put together by blocks of r×r and
// projected, and LLaMA.

const tower = (modelType: string): FamilySpec => ({
  ...siglipVision,
  modelType,
  defaults: {
    ...siglipVision.defaults,
    hidden_size: 1152,
    num_attention_heads: 16,
  },
  image: { ...siglipVision.image!, patch: 32 },
});

const towers = (modelType: string): TowersSpec => ({
  modelType,
  trunks: {
    vision: {
      within: 'vision_config',
      family: tower(`${modelType}_vision`),
      bases: ['model.vision_model.', 'vision_model.'],
      features: { fallback: -1 },
    },
    language: {
      within: 'text_config',
      family: { byType: ['llama'], fallback: 'llama' },
      bases: ['model.text_model.', 'text_model.'],
      head: ['lm_head'],
    },
  },
  main: 'language',
});

export const idefics3: TowersSpec = towers('idefics3');
export const smolvlm: TowersSpec = towers('smolvlm');
