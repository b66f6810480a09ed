import type { FamilySpec } from './family.js';
import { gemma3Text } from './gemma3-text.js';

// Gemma 3 with vision: the language model, which text_config describes, is pruned and scored on text; the vision part stays
// as it is.
export const gemma3: FamilySpec = {
  ...gemma3Text,
  modelType: 'gemma3',
  within: 'text_config',
  names: {
    ...gemma3Text.names,
    bases: ['model.language_model.', 'language_model.model.'],
    head: ['lm_head', 'language_model.lm_head'],
  },
};
