import type { FamilySpec } from './family.js';
import { vit } from './vit.js';

// DeiT with a distillation token (arXiv 2012.12877). With both heads, logits are their mean; with one, it reads the class token.
export const deit: FamilySpec = {
  ...vit,
  modelType: 'deit',
  names: { ...vit.names, bases: ['deit.', ''], head: ['classifier', 'cls_classifier'] },
  image: { ...vit.image!, tokens: ['embeddings.cls_token', 'embeddings.distillation_token'] },
};
