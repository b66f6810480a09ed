import type { FamilySpec } from './family.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';

/** Every family, by `model_type`. */
export const FAMILIES: ReadonlyMap<string, FamilySpec> = new Map(
  [llama, mistral, qwen2, qwen3].map((family) => [family.modelType, family]),
);
export type { FamilySpec };
