// OPT's block: x' = x + o(Attention(q(LN x), k(LN x), v(LN x))); y = x' + down(act(up(LN x'))). Its 350M size norms after:
//   x' = LN(x + o(Attention(q x, k x, v x)));  y = LN(x' + down(act(up x')))

import { attentionParts, mlpParts, normParts } from './parts.js';
import type { BlockShape } from './shape.js';

export const optBlock: BlockShape = {
  parts: (config) => ({
    norms: normParts(config),
    linears: [...attentionParts(config, false), ...mlpParts(config, ['up'])],
  }),
  build: (kit) => {
    const { hidden: D, intermediate: F, heads, headDim: h, normFirst } = kit.config;
    const before = (x: string, role: 'attentionNorm' | 'mlpNorm'): string => (normFirst ? kit.norm(x, role) : x);
    const after = (x: string, role: 'attentionNorm' | 'mlpNorm'): string => (normFirst ? x : kit.norm(x, role));

    const attentionIn = kit.rows(before(kit.x, 'attentionNorm'));
    kit.tap(attentionIn, 'attention_in', D);
    const [q, k, v] = (['q', 'k', 'v'] as const).map((kind) => kit.linear(attentionIn, kind));
    const attentionOut = kit.attend(q!, k!, v!);
    kit.tap(attentionOut, 'attention_out', heads * h);
    const middle = after(kit.add(kit.x, kit.linear(attentionOut, 'o')), 'attentionNorm');

    const mlpIn = kit.rows(before(middle, 'mlpNorm'));
    kit.tap(mlpIn, 'mlp_in', D);
    const mlpOut = kit.activate(kit.linear(mlpIn, 'up'));
    kit.tap(mlpOut, 'mlp_out', F);
    kit.output(() => after(kit.add(middle, kit.linear(mlpOut, 'down')), 'mlpNorm'));
  },
};
