// GPT-2's block: x' = x + o(Attention(q, k, v)), where qkv(LN x) is q, k and v one after the other;
//   y = x' + down(act(up(LN x')))

import { attentionParts, mlpParts, normParts } from './parts.js';
import type { BlockShape } from './shape.js';

export const gpt2Block: BlockShape = {
  parts: (config) => ({
    norms: normParts(config),
    linears: [...attentionParts(config, true), ...mlpParts(config, ['up'])],
  }),
  build: (kit) => {
    const { hidden: D, intermediate: F } = kit.config;
    const attentionIn = kit.rows(kit.norm(kit.x, 'attentionNorm'));
    kit.tap(attentionIn, 'attention_in', D);
    const [q, k, v] = kit.split(kit.linear(attentionIn, 'qkv'), [D, D, D]);
    const attentionOut = kit.attend(q!, k!, v!);
    kit.tap(attentionOut, 'attention_out', D);
    const middle = kit.add(kit.x, kit.linear(attentionOut, 'o'));

    const mlpIn = kit.rows(kit.norm(middle, 'mlpNorm'));
    kit.tap(mlpIn, 'mlp_in', D);
    const mlpOut = kit.activate(kit.linear(mlpIn, 'up'));
    kit.tap(mlpOut, 'mlp_out', F);
    kit.output(() => kit.add(middle, kit.linear(mlpOut, 'down')));
  },
};
