import { clipText, clipVision } from './clip.js';
import { convnext, convnextv2 } from './convnext.js';
import { deit } from './deit.js';
import { dinov2 } from './dinov2.js';
import type { FamilySpec } from './family.js';
import { gemma2 } from './gemma2.js';
import { gemma3 } from './gemma3.js';
import { gemma3Text } from './gemma3-text.js';
import { gptNeox } from './gpt-neox.js';
import { gpt2 } from './gpt2.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { mixtral } from './mixtral.js';
import { opt } from './opt.js';
import { phi3 } from './phi3.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';
import { qwen3Moe } from './qwen3-moe.js';
import { siglipText, siglipVision } from './siglip.js';
import { vit } from './vit.js';

/** Every family, by `model_type`. */
export const FAMILIES: ReadonlyMap<string, FamilySpec> = new Map(
  [
    llama,
    mistral,
    mixtral,
    qwen2,
    qwen3,
    qwen3Moe,
    phi3,
    gemma2,
    gemma3Text,
    gemma3,
    opt,
    gpt2,
    gptNeox,
    ...[vit, deit, dinov2, convnext, convnextv2],
    ...[clipVision, clipText, siglipVision, siglipText],
  ].map((family) => [family.modelType, family]),
);
export type { FamilySpec };
