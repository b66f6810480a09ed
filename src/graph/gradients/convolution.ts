// Conv over two axes: y[b, m, ·] = c[m] + Σ w[m, i, ·] ⋆ x[b, i, ·], in groups of channels. dx is the transposed convolution of
// dy with the same weights. dw is a convolution too, of x with dy as its kernel: channels and batch change places, and so do
// strides and dilations; what x has beyond the last stride is cut off.

import { int, ints, type Node, numberOf } from '../graph.js';
import { convolutionOf } from '../infer.js';
import { type Backward, type Rule, refusal } from './backward.js';

export const Conv: Rule = {
  attributes: ['dilations', 'group', 'pads', 'strides'],
  apply: (back, node, [dy]) => {
    const [x, w, c] = node.inputs as [string, string, string?];
    back.give(c, () => back.sum(dy!, [0, 2, 3], false));
    const { sizes, kernel, pads, strides, dilations } = geometryOf(back, node, x, w);
    const group = int(numberOf(node.attributes.group, 1));
    back.give(x, () => {
      // What a stride leaves over at the end.
      const over = sizes.map((size, i) => {
        const reach = size + pads[i]! + pads[i + 2]! - dilations[i]! * (kernel[i]! - 1) - 1;
        return reach % strides[i]!;
      });
      const attributes = { pads: ints(pads), strides: ints(strides), dilations: ints(dilations), group };
      return back.op('ConvTranspose', [dy!, w], { ...attributes, output_padding: ints(over) });
    });
    back.give(w, () => gradientOfWeights(back, node, dy!));
  },
};

/** The sizes of an image and a kernel, which must be known, and the numbers of the node for both axes. */
function geometryOf(back: Backward, node: Node, x: string, w: string) {
  const [sizes, kernel] = [back.shapeOf(x).slice(2), back.shapeOf(w).slice(2)];
  const known = [...sizes, ...kernel].filter((size) => typeof size === 'number');
  if (sizes.length !== 2 || known.length !== 4) throw refusal(node, 'only that over two axes of known sizes has one');
  return { sizes: sizes.map(Number), kernel: kernel.map(Number), ...convolutionOf(node, 2) };
}

function gradientOfWeights(back: Backward, node: Node, dy: string): string {
  const [x, w] = node.inputs as [string, string];
  const { kernel, pads, strides, dilations } = geometryOf(back, node, x, w);
  const groups = numberOf(node.attributes.group, 1);
  const [B, C, height, width] = back.shapeOf(x);
  const swapped = (value: string): string => back.op('Transpose', [value], { perm: ints([1, 0, 2, 3]) });
  const each = Number(C) / groups;
  /** [B, groups · each, …] → [each, groups · B, …]. */
  const byGroup = (): string => {
    const apart = back.reshape(x, [B!, groups, each, height!, width!]);
    const turned = back.op('Transpose', [apart], { perm: ints([2, 1, 0, 3, 4]) });
    return back.op('Reshape', [turned, back.ints([each, -1, Number(height), Number(width)])]);
  };
  const products = back.op('Conv', [groups === 1 ? swapped(x) : byGroup(), swapped(dy)], {
    pads: ints(pads),
    strides: ints(dilations),
    dilations: ints(strides),
    group: int(groups),
  });
  return swapped(back.op('Slice', [products, back.ints([0, 0]), back.ints(kernel), back.ints([2, 3])]));
}
