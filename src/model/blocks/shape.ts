import type { ModelConfig } from '../config.js';
import type { BlockKit } from './kit.js';
import type { BlockParts } from './parts.js';

// What a block file gives: of what a block is made, and how it computes.
export interface BlockShape {
  parts(config: ModelConfig): BlockParts;
  /** Builds the graph: taps in the order of the data, then the output. */
  build(kit: BlockKit): void;
}
