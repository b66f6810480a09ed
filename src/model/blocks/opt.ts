// OPT's block: x' = x + o(Attention(q(LN x), k(LN x), v(LN x))); y = x' + down(act(up(LN x'))). The 350M size norms
// afterwards:
//   x' = LN(x + o(Attention(q x, k x, v x)));  y = LN(x' + down(act(up x')))
// ViT's block is the same, with attention to all tokens. DINOv2 multiplies what it adds by a vector, and its largest size gates:
//   down(act(gate x) ⊙ up x)

import type { BlockArchitecture, BlockBuilder } from './block-builder.js';
import { attentionParts, mlpParts, normParts, scaleParts } from './parts.js';

export const optBlock: BlockArchitecture = {
  parts: (config) => ({
    norms: normParts(config),
    linears: [
      ...attentionParts(config, 'apart'),
      ...(config.gated ? mlpParts(config, ['gate_up'], 2) : mlpParts(config, ['up'])),
    ],
    extras: scaleParts(config),
  }),
  build: <V>(builder: BlockBuilder<V>) => {
    const { hidden: D, intermediate: F, heads, headDim: h, normFirst, layerScale, gated } = builder.config;
    const before = (x: V, role: 'attentionNorm' | 'mlpNorm'): V => (normFirst ? builder.norm(x, role) : x);
    const after = (x: V, role: 'attentionNorm' | 'mlpNorm'): V => (normFirst ? x : builder.norm(x, role));
    const scaled = (x: V, role: 'attentionScale' | 'mlpScale'): V => (layerScale ? builder.scale(x, role) : x);

    const attentionIn = builder.rows(before(builder.x, 'attentionNorm'));
    builder.tap(attentionIn, 'attention_in', D);
    const [q, k, v] = (['q', 'k', 'v'] as const).map((kind) => builder.linear(attentionIn, kind));
    const attentionOut = builder.attend(q!, k!, v!);
    builder.tap(attentionOut, 'attention_out', heads * h);
    const attended = scaled(builder.linear(attentionOut, 'o'), 'attentionScale');
    const middle = after(builder.add(builder.x, attended), 'attentionNorm');

    const mlpIn = builder.rows(before(middle, 'mlpNorm'));
    builder.tap(mlpIn, 'mlp_in', D);
    const gateUp = gated ? builder.split(builder.linear(mlpIn, 'gate_up'), [F, F]) : undefined;
    const mlpOut = gateUp
      ? builder.multiply(builder.activate(gateUp[0]!), gateUp[1]!)
      : builder.activate(builder.linear(mlpIn, 'up'));
    builder.tap(mlpOut, 'mlp_out', F);
    builder.output(() => after(builder.add(middle, scaled(builder.linear(mlpOut, 'down'), 'mlpScale')), 'mlpNorm'));
  },
};
