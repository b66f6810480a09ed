import type { ModelConfig } from '../config.js';
import type { BlockKit } from './kit.js';
import type { BlockParts } from './parts.js';

/** What a block is built with, whatever it becomes: a graph for the engine, or a program for the runtime's kernels. */
export type Kit = Pick<BlockKit, Exclude<keyof BlockKit, 'build'>>;

// What a block file gives: of what a block is made, and how it computes.
export interface BlockShape {
  parts(config: ModelConfig, block: number): BlockParts;
  /** Builds the block: taps in the order of the data, then the output. */
  build(kit: Kit): void;
}
