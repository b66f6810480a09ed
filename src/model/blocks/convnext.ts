// ConvNeXt's block: y = x + γ ⊙ down(gelu(up(LN(depthwise x)))), on the pixels of one image, where depthwise is a convolution of 7×7
// for each channel. V2 has a global response norm before `down` and no γ. The first block of a stage but the first halves the
// image before that: x = conv2×2(LN x). Only `up` and `down` are pruned, as in the papers.

import { halvesImage, widthAt } from '../image/shapes.js';
import type { BlockArchitecture, BlockBuilder } from './block-builder.js';
import { type ExtraPart, mlpParts } from './parts.js';

/** The side of the depthwise convolution. */
export const KERNEL = 7;

export const convnextBlock: BlockArchitecture = {
  parts: (config, block) => {
    const { hidden: C, intermediate: F, layerScale } = config;
    const before = halvesImage(config, block) ? widthAt(config, block - 1) : undefined;
    const halving: readonly ExtraPart[] =
      before === undefined
        ? []
        : [
            { role: 'halving.norm.weight', shape: [before] },
            { role: 'halving.norm.bias', shape: [before] },
            { role: 'halving.weight', shape: [C, before, 2, 2] },
            { role: 'halving.bias', shape: [C] },
          ];
    const response: readonly ExtraPart[] = [
      { role: 'response.weight', shape: [1, 1, 1, F] },
      { role: 'response.bias', shape: [1, 1, 1, F] },
    ];
    return {
      norms: [{ role: 'mlpNorm', width: C, weight: true, bias: true }],
      linears: mlpParts(config, ['up']),
      extras: [
        ...halving,
        { role: 'depthwise.weight', shape: [C, 1, KERNEL, KERNEL] },
        { role: 'depthwise.bias', shape: [C] },
        ...(config.image!.spec.response ? response : []),
        ...(layerScale ? [{ role: 'mlpScale', shape: [C] } as const] : []),
      ],
    };
  },
  build: <V>(builder: BlockBuilder<V>) => {
    const { config } = builder;
    const { hidden: C, intermediate: F, layerScale, image } = config;
    const x = builder.halve();
    const mlpIn = builder.norm(builder.depthwise(x), 'mlpNorm');
    builder.tap(mlpIn, 'mlp_in', C);
    const activated = builder.activate(builder.linear(mlpIn, 'up'));
    const mlpOut = image!.spec.response ? builder.respond(activated) : activated;
    builder.tap(mlpOut, 'mlp_out', F);
    builder.output(() => {
      const y = builder.linear(mlpOut, 'down');
      return builder.add(x, layerScale ? builder.scale(y, 'mlpScale') : y);
    });
  },
};
