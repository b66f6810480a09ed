// The convolutions of ConvNeXt as graphs. An image is [B, H·W, C], its pixels row by row. ONNX convolves [B, C, H, W], so values
// are turned there and back.

import { type GraphBuilder, int, ints } from '../../graph/index.js';
import { KERNEL } from '../blocks/convnext.js';
import type { Rows } from './config.js';

const reshape = (g: GraphBuilder, x: string, shape: readonly number[]): string => g.op('Reshape', [x, g.shape(shape)]);

/** Patches of 2×2 pixels, [N, 4·C], in the order (channel, row, column). A last odd row or column is left out. */
export function halveImage(g: GraphBuilder, x: string, { rows: H, columns: W }: Rows, C: number): string {
  const [h, w] = [Math.floor(H / 2), Math.floor(W / 2)];
  const image = reshape(g, x, [-1, H, W, C]);
  const even =
    H % 2 === 0 && W % 2 === 0
      ? image
      : g.op('Slice', [image, g.shape([0, 0]), g.shape([2 * h, 2 * w]), g.shape([1, 2])]);
  const parted = reshape(g, even, [-1, h, 2, w, 2, C]);
  return reshape(g, g.op('Transpose', [parted], { perm: ints([0, 1, 3, 5, 2, 4]) }), [-1, 4 * C]);
}

/** Each channel convolved with a kernel of its own, with zeros around the image: [N, C]. */
export function depthwise(
  g: GraphBuilder,
  x: string,
  { rows, columns }: Rows,
  C: number,
  { kernel, bias }: { readonly kernel: string; readonly bias: string },
): string {
  const image = g.op('Transpose', [reshape(g, x, [-1, rows, columns, C])], { perm: ints([0, 3, 1, 2]) });
  const pad = (KERNEL - 1) / 2;
  const convolved = g.op('Conv', [image, kernel, bias], {
    group: int(C),
    pads: ints([pad, pad, pad, pad]),
    strides: ints([1, 1]),
  });
  return reshape(g, g.op('Transpose', [convolved], { perm: ints([0, 2, 3, 1]) }), [-1, C]);
}

const RESPONSE_EPS = 1e-6;

/** w ⊙ x ⊙ n + b + x for x [B, H·W, C]; n_c = ‖x_c‖ / (mean_c ‖x_c‖ + ε), the norms over the image's pixels. */
export function respond(
  g: GraphBuilder,
  x: string,
  C: number,
  { scale, bias }: { readonly scale: string; readonly bias: string },
): string {
  const norms = g.op('Sqrt', [g.op('ReduceSumSquare', [x, g.shape([1])], { keepdims: int(1) })]);
  const sum = g.op('ReduceSum', [norms, g.shape([2])], { keepdims: int(1) });
  const mean = g.op('Mul', [sum, g.constant(`1/${C}`, Float32Array.of(1 / C), [1])]);
  const shifted = g.op('Add', [mean, g.constant('response_eps', Float32Array.of(RESPONSE_EPS), [1])]);
  const relative = g.op('Mul', [x, g.op('Div', [norms, shifted])]);
  return g.op('Add', [g.op('Add', [g.op('Mul', [relative, scale]), bias]), x]);
}
