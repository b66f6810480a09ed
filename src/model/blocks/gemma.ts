// Gemma's block, from the second generation on: what attention and MLP add to the residual is normed too.
//   x' = x + RMS(o(Attention(rope(q(RMS x)), rope(k(RMS x)), v(RMS x))));  y = x' + RMS(down(act(gate(RMS x')) ⊙ up(RMS x')))

import { attentionParts, mlpParts, normParts } from './parts.js';
import type { BlockShape } from './shape.js';

export const gemmaBlock: BlockShape = {
  parts: (config) => ({
    norms: normParts(config, ['attentionPostNorm', 'mlpPostNorm']),
    linears: [...attentionParts(config, false), ...mlpParts(config, ['gate', 'up'])],
  }),
  build: (kit) => {
    const { hidden: D, intermediate: F, heads, kvHeads, headDim: h } = kit.config;
    const attentionIn = kit.rows(kit.norm(kit.x, 'attentionNorm'));
    kit.tap(attentionIn, 'attention_in', D);
    const [q, k, v] = (['q', 'k', 'v'] as const).map((kind) => kit.linear(attentionIn, kind));
    const attentionOut = kit.attend(kit.rotate(q!, heads, 'qNorm'), kit.rotate(k!, kvHeads, 'kNorm'), v!);
    kit.tap(attentionOut, 'attention_out', heads * h);
    const middle = kit.add(kit.x, kit.norm(kit.linear(attentionOut, 'o'), 'attentionPostNorm'));

    const mlpIn = kit.rows(kit.norm(middle, 'mlpNorm'));
    kit.tap(mlpIn, 'mlp_in', D);
    const mlpOut = kit.multiply(kit.activate(kit.linear(mlpIn, 'gate')), kit.linear(mlpIn, 'up'));
    kit.tap(mlpOut, 'mlp_out', F);
    kit.output(() => kit.add(middle, kit.norm(kit.linear(mlpOut, 'down'), 'mlpPostNorm')));
  },
};
