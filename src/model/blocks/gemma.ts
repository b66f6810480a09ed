// Gemma's block, from the second generation on: what attention and MLP add to the residual is normed too.
//   x' = x + RMS(o(Attention(rope(q(RMS x)), rope(k(RMS x)), v(RMS x))));  y = x' + RMS(down(act(gate(RMS x')) ⊙ up(RMS x')))

import { attendTo, gateOf } from './halves.js';
import { attentionParts, mlpParts, normParts } from './parts.js';
import type { BlockShape } from './shape.js';

export const gemmaBlock: BlockShape = {
  parts: (config) => ({
    norms: normParts(config, ['attentionPostNorm', 'mlpPostNorm']),
    linears: [...attentionParts(config, false), ...mlpParts(config, ['gate', 'up'])],
  }),
  build: (kit) => {
    const attentionOut = attendTo(kit, kit.rows(kit.norm(kit.x, 'attentionNorm')));
    const middle = kit.add(kit.x, kit.norm(kit.linear(attentionOut, 'o'), 'attentionPostNorm'));
    const mlpOut = gateOf(kit, kit.rows(kit.norm(middle, 'mlpNorm')));
    kit.output(() => kit.add(middle, kit.norm(kit.linear(mlpOut, 'down'), 'mlpPostNorm')));
  },
};
