// LLaMA's block with experts instead of its MLP (Mixtral, arXiv 2401.04088). A token goes to the k experts with the largest
// router probabilities; with p the router's softmax:
//   x' = x + o(Attention(rope(q(RMS x)), rope(k(RMS x)), v(RMS x)));  z = RMS x'
//   y = x' + Σ_e p_e·down_e(act(gate_e z) ⊙ up_e z), e the token's k experts
// Each expert reads only its own tokens, so its linears have their own taps. The router is not pruned. Some blocks of such
// models still have one MLP.

import type { BlockArchitecture } from './block-builder.js';
import { attendTo, gateOf } from './halves.js';
import { attentionParts, expertParts, expertSite, mlpParts, normParts } from './parts.js';

export const mixtureBlock: BlockArchitecture = {
  parts: (config, block) => {
    const mixture = config.mixtures[block];
    const [norms, attention] = [normParts(config), attentionParts(config, 'apart')];
    if (!mixture) return { norms, linears: [...attention, ...mlpParts(config, ['gate', 'up'])] };
    const router = { rows: mixture.experts, columns: config.hidden };
    return { norms, router, linears: [...attention, ...expertParts(config, mixture)] };
  },
  build: (builder) => {
    const attentionOut = attendTo(builder, builder.rows(builder.norm(builder.x, 'attentionNorm')));
    const middle = builder.add(builder.x, builder.linear(attentionOut, 'o'));
    const mlpIn = builder.rows(builder.norm(middle, 'mlpNorm'));
    const { mixture } = builder;
    if (!mixture) {
      const mlpOut = gateOf(builder, mlpIn);
      builder.output(() => builder.add(middle, builder.linear(mlpOut, 'down')));
      return;
    }
    const routing = builder.route(mlpIn);
    const outs = Array.from({ length: mixture.experts }, (_, expert) => {
      const expertIn = builder.routed(mlpIn, routing, expert);
      builder.tap(expertIn, expertSite(expert, 'in'), builder.config.hidden);
      const [gate, up] = (['gate', 'up'] as const).map((kind) => builder.linear(expertIn, kind, expert));
      const expertOut = builder.multiply(builder.activate(gate!), up!);
      builder.tap(expertOut, expertSite(expert, 'out'), mixture.width);
      return expertOut;
    });
    const made = () => outs.map((expertOut, expert) => builder.linear(expertOut, 'down', expert));
    builder.output(() => builder.add(middle, builder.combine(routing, made())));
  },
};
