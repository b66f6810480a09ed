import type { ModelConfig } from '../config.js';
import type { ArchitectureName } from '../families/family.js';
import type { BlockArchitecture, BlockBuilder } from './block-builder.js';
import { convnextBlock } from './convnext.js';
import { gemmaBlock } from './gemma.js';
import { gptNeoxBlock } from './gpt-neox.js';
import { gpt2Block } from './gpt2.js';
import { llamaBlock } from './llama.js';
import { mixtureBlock } from './mixture.js';
import { optBlock } from './opt.js';

/** Every block file. */
export const ARCHITECTURES: Readonly<Record<ArchitectureName, BlockArchitecture>> = {
  llama: llamaBlock,
  gemma: gemmaBlock,
  opt: optBlock,
  gpt2: gpt2Block,
  gpt_neox: gptNeoxBlock,
  mixture: mixtureBlock,
  convnext: convnextBlock,
};

/** Builds a block of the model's architecture with any builder. */
export const buildWith = <V>(config: ModelConfig, builder: BlockBuilder<V>): void =>
  ARCHITECTURES[config.architecture].build(builder);
