// OPT's block: x' = x + o(Attention(q(LN x), k(LN x), v(LN x))); y = x' + down(act(up(LN x'))). The 350M size norms
// afterwards:
//   x' = LN(x + o(Attention(q x, k x, v x)));  y = LN(x' + down(act(up x')))

import type { BlockArchitecture, BlockBuilder } from './block-builder.js';
import { attentionParts, mlpParts, normParts } from './parts.js';

export const optBlock: BlockArchitecture = {
  parts: (config) => ({
    norms: normParts(config),
    linears: [...attentionParts(config, 'apart'), ...mlpParts(config, ['up'])],
  }),
  build: <V>(builder: BlockBuilder<V>) => {
    const { hidden: D, intermediate: F, heads, headDim: h, normFirst } = builder.config;
    const before = (x: V, role: 'attentionNorm' | 'mlpNorm'): V => (normFirst ? builder.norm(x, role) : x);
    const after = (x: V, role: 'attentionNorm' | 'mlpNorm'): V => (normFirst ? x : builder.norm(x, role));

    const attentionIn = builder.rows(before(builder.x, 'attentionNorm'));
    builder.tap(attentionIn, 'attention_in', D);
    const [q, k, v] = (['q', 'k', 'v'] as const).map((kind) => builder.linear(attentionIn, kind));
    const attentionOut = builder.attend(q!, k!, v!);
    builder.tap(attentionOut, 'attention_out', heads * h);
    const middle = after(builder.add(builder.x, builder.linear(attentionOut, 'o')), 'attentionNorm');

    const mlpIn = builder.rows(before(middle, 'mlpNorm'));
    builder.tap(mlpIn, 'mlp_in', D);
    const mlpOut = builder.activate(builder.linear(mlpIn, 'up'));
    builder.tap(mlpOut, 'mlp_out', F);
    builder.output(() => after(builder.add(middle, builder.linear(mlpOut, 'down')), 'mlpNorm'));
  },
};
