// GPT-NeoX's block, attention and MLP side by side: y = x + o(Attention(rope q, rope k, v)) + down(act(up(LN₂ x))), where
// qkv(LN₁ x) has q, k and v of each head one after the other. Some checkpoints have the MLP after attention, as others do.

import { attentionParts, mlpParts, normParts } from './parts.js';
import type { BlockShape } from './shape.js';

export const gptNeoxBlock: BlockShape = {
  parts: (config) => ({
    norms: normParts(config),
    linears: [...attentionParts(config, true), ...mlpParts(config, ['up'])],
  }),
  build: (kit) => {
    const { hidden: D, intermediate: F, heads, parallel } = kit.config;
    const attentionIn = kit.rows(kit.norm(kit.x, 'attentionNorm'));
    kit.tap(attentionIn, 'attention_in', D);
    const [q, k, v] = kit.splitHeads(kit.linear(attentionIn, 'qkv'));
    const attentionOut = kit.attend(kit.rotate(q!, heads, 'qNorm'), kit.rotate(k!, heads, 'kNorm'), v!);
    kit.tap(attentionOut, 'attention_out', D);
    const attended = (): string => kit.add(kit.x, kit.linear(attentionOut, 'o'));
    const middle = parallel ? kit.x : attended();

    const mlpIn = kit.rows(kit.norm(middle, 'mlpNorm'));
    kit.tap(mlpIn, 'mlp_in', D);
    const mlpOut = kit.activate(kit.linear(mlpIn, 'up'));
    kit.tap(mlpOut, 'mlp_out', F);
    kit.output(() => kit.add(parallel ? attended() : middle, kit.linear(mlpOut, 'down')));
  },
};
