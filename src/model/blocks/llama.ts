// The block of LLaMA and families like it. With x [B, T, D] the residual:
//   x' = x + o(Attention(rope(q(RMS x)), rope(k(RMS x)), v(RMS x)));  y = x' + down(act(gate(RMS x')) ⊙ up(RMS x'))
// Some models norm q and k over each head first. In phi3 one linear computes q, k and v, and one computes gate and up.

import type { BlockArchitecture } from './block-builder.js';
import { attendTo, gateOf } from './halves.js';
import { attentionParts, mlpParts, normParts } from './parts.js';

export const llamaBlock: BlockArchitecture = {
  parts: (config) => ({
    norms: normParts(config),
    linears: [
      ...attentionParts(config, config.joined ? 'stacked' : 'apart'),
      ...(config.joined ? mlpParts(config, ['gate_up'], 2) : mlpParts(config, ['gate', 'up'])),
    ],
  }),
  build: (builder) => {
    const attentionOut = attendTo(builder, builder.rows(builder.norm(builder.x, 'attentionNorm')));
    const middle = builder.add(builder.x, builder.linear(attentionOut, 'o'));
    const mlpOut = gateOf(builder, builder.rows(builder.norm(middle, 'mlpNorm')));
    builder.output(() => builder.add(middle, builder.linear(mlpOut, 'down')));
  },
};
