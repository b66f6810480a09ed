// Gemma's block, from the second generation on: the outputs of attention and MLP are normed too before they are added to
// the residual.
//   x' = x + RMS(o(Attention(rope(q(RMS x)), rope(k(RMS x)), v(RMS x))));  y = x' + RMS(down(act(gate(RMS x')) ⊙ up(RMS x')))

import type { BlockArchitecture } from './block-builder.js';
import { attendTo, gateOf } from './halves.js';
import { attentionParts, mlpParts, normParts } from './parts.js';

export const gemmaBlock: BlockArchitecture = {
  parts: (config) => ({
    norms: normParts(config, ['attentionPostNorm', 'mlpPostNorm']),
    linears: [...attentionParts(config, 'apart'), ...mlpParts(config, ['gate', 'up'])],
  }),
  build: (builder) => {
    const attentionOut = attendTo(builder, builder.rows(builder.norm(builder.x, 'attentionNorm')));
    const middle = builder.add(builder.x, builder.norm(builder.linear(attentionOut, 'o'), 'attentionPostNorm'));
    const mlpOut = gateOf(builder, builder.rows(builder.norm(middle, 'mlpNorm')));
    builder.output(() => builder.add(middle, builder.norm(builder.linear(mlpOut, 'down'), 'mlpPostNorm')));
  },
};
