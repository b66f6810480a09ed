// A model's config as one of its blocks has it: where widths differ between blocks, with that block's.

import type { BlockConfig, ModelConfig } from './config.js';
import { widthAt } from './image/shapes.js';

/** ε of every norm of ConvNeXt but the last, which is written in its code. */
const STAGED_EPS = 1e-6;

export function blockConfig(config: ModelConfig, block: number): BlockConfig {
  const own = { ...config, ...config.widths[block]! };
  if (!config.image || config.image.stages.length === 0) return own;
  const width = widthAt(config, block);
  return { ...own, hidden: width, intermediate: 4 * width, headDim: width, normEps: STAGED_EPS };
}
