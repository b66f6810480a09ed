import type { TowersSpec } from './towers-spec.js';

// LLaVA-1.5 (arXiv 2310.03744) as transformers has it: a tower of CLIP or SigLIP, a projector (model/image/connector.ts), and a language
// model. Four sets of names are in use: those of transformers 4, which 5 writes too, and those of its modules since.
export const llava: TowersSpec = {
  modelType: 'llava',
  trunks: {
    vision: {
      within: 'vision_config',
      family: { byType: ['clip_vision_model', 'siglip_vision_model'], fallback: 'clip_vision_model' },
      bases: ['vision_tower.vision_model.', 'vision_tower.', 'model.vision_tower.vision_model.', 'model.vision_tower.'],
      features: { key: 'vision_feature_layer', fallback: -2 },
    },
    language: {
      within: 'text_config',
      family: { byType: ['llama', 'mistral', 'qwen2'], fallback: 'llama' },
      bases: ['language_model.model.', 'model.language_model.'],
      head: ['language_model.lm_head', 'lm_head'],
    },
  },
  main: 'language',
};
