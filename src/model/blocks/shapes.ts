import type { ModelConfig } from '../config.js';
import type { ShapeName } from '../families/family.js';
import { gemmaBlock } from './gemma.js';
import { gptNeoxBlock } from './gpt-neox.js';
import { gpt2Block } from './gpt2.js';
import { llamaBlock } from './llama.js';
import { mixtureBlock } from './mixture.js';
import { optBlock } from './opt.js';
import type { BlockShape, Kit } from './shape.js';

/** Every block file. */
export const SHAPES: Readonly<Record<ShapeName, BlockShape>> = {
  llama: llamaBlock,
  gemma: gemmaBlock,
  opt: optBlock,
  gpt2: gpt2Block,
  gpt_neox: gptNeoxBlock,
  mixture: mixtureBlock,
};

/** Builds a block of the model's shape, with the engine's kit or another. */
export const buildWith = (config: ModelConfig, kit: Kit): void => SHAPES[config.shape].build(kit);
