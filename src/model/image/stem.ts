// What stands before an image model's blocks, as a graph. Input `patches` [B·N, C·p²]: each patch's numbers in the order (channel, row,
// column), normalised. A convolution whose kernel is as large as its step is a product of patches, and its weights lie in that
// order. Output `y` [B, T, D]: tokens and patches, with positions where the model has a table of them.

import { type Graph, GraphBuilder, int } from '../../graph/index.js';
import type { ModelConfig } from '../config.js';
import { normalise, type TensorSource, weight } from '../nodes.js';
import { gridOf } from './config.js';
import { residualShape } from './shapes.js';
import type { ImageNames } from './tensors.js';

/** `positions` are the rows for this size of image, where the model has any. */
export function buildStemGraph(
  config: ModelConfig,
  names: ImageNames,
  options: {
    readonly folder: string;
    readonly find: (name: string) => TensorSource;
    readonly positions: Float32Array | undefined;
  },
): Graph {
  const { folder, find, positions } = options;
  const image = config.image!;
  const { spec, patch, channels } = image;
  const g = new GraphBuilder();
  const { length: T, width: D } = residualShape(config, -1, 0);
  const { rows, columns } = gridOf(image, 0);
  const size = channels * patch * patch;
  const x = g.input('patches', 'f32', ['N', size]);
  const matrix = weight(g, { ...find(`${names.patches}.weight`), shape: [D, size] });
  const bias = spec.patchBias ? [weight(g, find(`${names.patches}.bias`))] : [];
  const made = g.op('Gemm', [x, matrix, ...bias], { transB: int(1) });
  const patches = g.op('Reshape', [made, g.shape([-1, rows * columns, D])]);
  const batch = g.op('Slice', [g.op('Shape', [patches]), g.shape([0]), g.shape([1])]);
  const tokens = names.tokens.map((name) => {
    const row = weight(g, { ...find(name), shape: [1, 1, D] });
    return g.op('Expand', [row, g.op('Concat', [batch, g.shape([1, D])], { axis: int(0) })]);
  });
  const all = tokens.length === 0 ? patches : g.op('Concat', [...tokens, patches], { axis: int(1) });
  const placed = positions ? g.op('Add', [all, g.constant('positions', positions, [1, T, D])]) : all;
  const { stemNorm } = names;
  const y = stemNorm
    ? normalise(g, { norm: 'layer', normEps: spec.stemNorm!.eps ?? config.normEps }, placed, {
        scale: find(`${stemNorm}.weight`),
        bias: find(`${stemNorm}.bias`),
        width: D,
      })
    : placed;
  g.output(y, 'y', ['B', T, D]);
  return g.build('stem', folder);
}
