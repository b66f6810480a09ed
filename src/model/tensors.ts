// All tensors of a model as plain data, in the order in which a forward pass reads them, for code that stores them in
// another format.

import { UnsupportedError } from '../base/portable.js';
import { ROUTER } from './blocks/parts.js';
import type { ModelConfig } from './config.js';
import { blockTensors, modelTensors, type TensorNames } from './tensor-names.js';

/**
 * A tensor by the checkpoint's name, [rows = out, columns = in]; a vector has one row. `positions` is a table of learned
 * positions, `router` has a row per expert. `block` is undefined outside the blocks. If `transposed`, the file has columns
 * first.
 */
export type ModelTensor = {
  readonly name: string;
  readonly role: 'embedding' | 'positions' | 'head' | 'linear' | 'router' | 'vector';
  readonly rows: number;
  readonly columns: number;
  readonly block: number | undefined;
  readonly transposed: boolean;
};

/** The embeddings, the blocks in order, the final norm, and the head unless it is tied to the embeddings. */
export function describeTensors(config: ModelConfig, tensorNames: TensorNames): readonly ModelTensor[] {
  const { embedding, positions, projectIn, projectOut, finalNorm, head } = tensorNames;
  const shapes = modelTensors(config, tensorNames);
  const outside = (names: readonly (string | undefined)[]): ModelTensor[] =>
    names.flatMap((name) => {
      const shape = name === undefined ? undefined : shapes.get(name);
      return shape ? [describe(name!, shape)] : [];
    });
  const outsideRole = (name: string): ModelTensor['role'] =>
    name === embedding ? 'embedding' : name === head ? 'head' : name === positions ? 'positions' : 'linear';
  const describe = (name: string, shape: readonly number[], block?: number, isRouter = false): ModelTensor => {
    const [rows, columns] = matrixOf(name, shape);
    if (shape.length === 1) return { name, role: 'vector', rows, columns, block, transposed: false };
    if (block === undefined) return { name, role: outsideRole(name), rows, columns, block, transposed: false };
    if (isRouter) return { name, role: 'router', rows, columns, block, transposed: false };
    const { transposed } = config;
    const size = transposed ? { rows: columns, columns: rows } : { rows, columns };
    return { name, role: 'linear', ...size, block, transposed };
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

/**
 * A tensor's shape as a matrix; a vector is one row.
 * @throws UnsupportedError E_UNSUPPORTED_SHAPE: no block that we run has tensors of another rank
 */
export function matrixOf(name: string, shape: readonly number[]): readonly [rows: number, columns: number] {
  const [first, second] = shape;
  if (shape.length === 1) return [1, first!];
  if (shape.length === 2) return [first!, second!];
  throw new UnsupportedError(
    'E_UNSUPPORTED_SHAPE',
    `tensor ${name}: expected a vector or a matrix, got shape [${shape.join(', ')}]. Layerwise does not run or pack such tensors.`,
    { tensor: name, expected: 'a vector or a matrix', got: shape },
  );
}
