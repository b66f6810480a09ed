// All tensors of a model in the order in which a forward pass reads them, as plain data for those who store them otherwise
// than a checkpoint does.

import type { ModelConfig } from './config.js';
import { blockTensorShapes, EMBEDDING, FINAL_NORM, headName } from './layout.js';

/** A tensor by the checkpoint's name; a vector has one row. `block` is absent outside the blocks. */
export type ModelTensor = {
  readonly name: string;
  readonly role: 'embedding' | 'head' | 'linear' | 'vector';
  readonly rows: number;
  readonly columns: number;
  readonly block: number | undefined;
};

/** Embeddings, block after block, final norm, and the head where it is not tied to the embeddings. */
export function modelTensors(config: ModelConfig): readonly ModelTensor[] {
  const { vocabulary, hidden, blocks, tied } = config;
  const table = (name: string, role: 'embedding' | 'head'): ModelTensor => ({
    name,
    role,
    rows: vocabulary,
    columns: hidden,
    block: undefined,
  });
  const inBlocks = Array.from({ length: blocks }, (_, block) =>
    [...blockTensorShapes(config, block)].map(([name, shape]) => tensorOf(name, shape, block)),
  );
  return [
    table(EMBEDDING, 'embedding'),
    ...inBlocks.flat(),
    tensorOf(FINAL_NORM, [hidden], undefined),
    ...(tied ? [] : [table(headName(config), 'head')]),
  ];
}

function tensorOf(name: string, shape: readonly number[], block: number | undefined): ModelTensor {
  const [rows, columns] = shape.length === 2 ? shape : [1, shape[0]];
  return { name, role: shape.length === 2 ? 'linear' : 'vector', rows: rows!, columns: columns!, block };
}
