import type { ModelConfig } from '../config.js';
import type { GraphBlockBuilder } from './graph-block-builder.js';
import type { BlockParts } from './parts.js';

/** What a block is built with, whatever it becomes: a graph for the engine, or a program for the runtime's kernels. */
export type BlockBuilder = Pick<GraphBlockBuilder, Exclude<keyof GraphBlockBuilder, 'build'>>;

// What a block file gives: of what a block is made, and how it computes.
export interface BlockArchitecture {
  parts(config: ModelConfig, block: number): BlockParts;
  /** Builds the block: taps in the order of the data, then the output. */
  build(builder: BlockBuilder): void;
}
