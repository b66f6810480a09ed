// All tensors of a model in the order in which a forward pass reads them, as plain data for those who store them otherwise
// than a checkpoint does.

import { ROUTER } from './blocks/parts.js';
import type { ModelConfig } from './config.js';
import { blockTensors, modelTensors, type TensorNames } from './tensor-names.js';

/**
 * A tensor by the checkpoint's name, [rows = out, columns = in]; a vector has one row. `positions` are learned ones, a row
 * each; a `router` has one for each expert. `block` is absent outside the blocks. Where `transposed`, the file has the
 * columns first.
 */
export type ModelTensor = {
  readonly name: string;
  readonly role: 'embedding' | 'positions' | 'head' | 'linear' | 'router' | 'vector';
  readonly rows: number;
  readonly columns: number;
  readonly block: number | undefined;
  readonly transposed: boolean;
};

/** Embeddings, block after block, the last norm, and the head where it is not tied to the embeddings. */
export function describeTensors(config: ModelConfig, tensorNames: TensorNames): readonly ModelTensor[] {
  const { embedding, positions, projectIn, projectOut, finalNorm, head } = tensorNames;
  const shapes = modelTensors(config, tensorNames);
  const outside = (names: readonly (string | undefined)[]): ModelTensor[] =>
    names.flatMap((name) => {
      const shape = name === undefined ? undefined : shapes.get(name);
      return shape ? [describe(name!, shape)] : [];
    });
  const describe = (name: string, shape: readonly number[], block?: number, isRouter = false): ModelTensor => {
    const transposed = shape.length === 2 && block !== undefined && config.transposed && !isRouter;
    const [rows, columns] = shape.length === 1 ? [1, shape[0]!] : [shape[0]!, shape[1]!];
    const role =
      name === embedding
        ? 'embedding'
        : name === head
          ? 'head'
          : name === positions
            ? 'positions'
            : shape.length === 1
              ? 'vector'
              : isRouter
                ? 'router'
                : 'linear';
    return transposed
      ? { name, role, rows: columns, columns: rows, block, transposed }
      : { name, role, rows, columns, block, transposed };
  };
  const blocks = Array.from({ length: config.blocks }, (_, block) =>
    blockTensors(config, tensorNames, block).map(({ name, role, shape }) =>
      describe(name, shape, block, role === `${ROUTER}.weight`),
    ),
  );
  return [
    ...outside([embedding, positions, projectIn]),
    ...blocks.flat(),
    ...outside([`${finalNorm}.weight`, `${finalNorm}.bias`, projectOut, head === embedding ? undefined : head]),
  ];
}
