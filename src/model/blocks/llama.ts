// The block of LLaMA and its kin. With x [B, T, D] the residual:
//   x' = x + o(Attention(rope(q(RMS x)), rope(k(RMS x)), v(RMS x)));  y = x' + down(act(gate(RMS x')) ⊙ up(RMS x'))
// Where the model has them, q and k are normed over each head first. In phi3 one linear gives q, k and v, one after the
// other, and one gives gate and up.

import { attendTo, gateOf } from './halves.js';
import { attentionParts, mlpParts, normParts } from './parts.js';
import type { BlockShape } from './shape.js';

export const llamaBlock: BlockShape = {
  parts: (config) => ({
    norms: normParts(config),
    linears: [
      ...attentionParts(config, config.joined),
      ...(config.joined ? mlpParts(config, ['gate_up'], 2) : mlpParts(config, ['gate', 'up'])),
    ],
  }),
  build: (kit) => {
    const attentionOut = attendTo(kit, kit.rows(kit.norm(kit.x, 'attentionNorm')));
    const middle = kit.add(kit.x, kit.linear(attentionOut, 'o'));
    const mlpOut = gateOf(kit, kit.rows(kit.norm(middle, 'mlpNorm')));
    kit.output(() => kit.add(middle, kit.linear(mlpOut, 'down')));
  },
};
