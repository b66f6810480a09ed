// GPT-NeoX's block, attention and MLP in parallel: y = x + o(Attention(rope q, rope k, v)) + down(act(up(LN₂ x))). The rows
// of qkv(LN₁ x) hold the q, k and v of one head after those of another. In some checkpoints the MLP comes after attention,
// as in other families.

import type { BlockArchitecture } from './block-builder.js';
import { attentionParts, mlpParts, normParts } from './parts.js';

export const gptNeoxBlock: BlockArchitecture = {
  parts: (config) => ({
    norms: normParts(config),
    linears: [...attentionParts(config, 'byHead'), ...mlpParts(config, ['up'])],
  }),
  build: (builder) => {
    const { hidden: D, intermediate: F, heads, headDim: h, parallel } = builder.config;
    const attentionIn = builder.rows(builder.norm(builder.x, 'attentionNorm'));
    builder.tap(attentionIn, 'attention_in', D);
    const [q, k, v] = builder.splitHeads(builder.linear(attentionIn, 'qkv'));
    const attentionOut = builder.attend(builder.rotate(q!, heads, 'qNorm'), builder.rotate(k!, heads, 'kNorm'), v!);
    builder.tap(attentionOut, 'attention_out', heads * h);
    const attended = () => builder.add(builder.x, builder.linear(attentionOut, 'o'));
    const middle = parallel ? builder.x : attended();

    const mlpIn = builder.rows(builder.norm(middle, 'mlpNorm'));
    builder.tap(mlpIn, 'mlp_in', D);
    const mlpOut = builder.activate(builder.linear(mlpIn, 'up'));
    builder.tap(mlpOut, 'mlp_out', F);
    builder.output(() => builder.add(parallel ? attended() : middle, builder.linear(mlpOut, 'down')));
  },
};
