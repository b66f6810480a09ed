// GPT-2's block: x' = x + o(Attention(q, k, v)), where qkv(LN x) is q, k and v in that order;
//   y = x' + down(act(up(LN x')))

import type { BlockArchitecture } from './block-builder.js';
import { attentionParts, mlpParts, normParts } from './parts.js';

export const gpt2Block: BlockArchitecture = {
  parts: (config) => ({
    norms: normParts(config),
    linears: [...attentionParts(config, 'stacked'), ...mlpParts(config, ['up'])],
  }),
  build: (builder) => {
    const { hidden: D, intermediate: F, heads, kvHeads, headDim: h } = builder.config;
    const attentionIn = builder.rows(builder.norm(builder.x, 'attentionNorm'));
    builder.tap(attentionIn, 'attention_in', D);
    const [q, k, v] = builder.split(builder.linear(attentionIn, 'qkv'), [heads * h, kvHeads * h, kvHeads * h]);
    const attentionOut = builder.attend(q!, k!, v!);
    builder.tap(attentionOut, 'attention_out', heads * h);
    const middle = builder.add(builder.x, builder.linear(attentionOut, 'o'));

    const mlpIn = builder.rows(builder.norm(middle, 'mlpNorm'));
    builder.tap(mlpIn, 'mlp_in', D);
    const mlpOut = builder.activate(builder.linear(mlpIn, 'up'));
    builder.tap(mlpOut, 'mlp_out', F);
    builder.output(() => builder.add(middle, builder.linear(mlpOut, 'down')));
  },
};
