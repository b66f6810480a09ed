// LLaMA's block with experts in place of its MLP (Mixtral, arXiv 2401.04088). A token goes to the k experts that the router
// gives most to; with p the router's softmax:
//   x' = x + o(Attention(rope(q(RMS x)), rope(k(RMS x)), v(RMS x)));  z = RMS x'
//   y = x' + Σ_e p_e·down_e(act(gate_e z) ⊙ up_e z), e the token's k experts
// Each expert reads its own tokens, so its linears have taps of their own. The router is not pruned. Some blocks have one
// MLP all the same.

import { attendTo, gateOf } from './halves.js';
import { attentionParts, expertParts, expertSite, mlpParts, normParts } from './parts.js';
import type { BlockShape } from './shape.js';

export const mixtureBlock: BlockShape = {
  parts: (config, block) => {
    const mixture = config.mixtures[block];
    const [norms, attention] = [normParts(config), attentionParts(config, false)];
    if (!mixture) return { norms, linears: [...attention, ...mlpParts(config, ['gate', 'up'])] };
    const router = { rows: mixture.experts, columns: config.hidden };
    return { norms, router, linears: [...attention, ...expertParts(config, mixture)] };
  },
  build: (kit) => {
    const attentionOut = attendTo(kit, kit.rows(kit.norm(kit.x, 'attentionNorm')));
    const middle = kit.add(kit.x, kit.linear(attentionOut, 'o'));
    const mlpIn = kit.rows(kit.norm(middle, 'mlpNorm'));
    const { mixture } = kit;
    if (!mixture) {
      const mlpOut = gateOf(kit, mlpIn);
      kit.output(() => kit.add(middle, kit.linear(mlpOut, 'down')));
      return;
    }
    const routing = kit.route(mlpIn);
    const outs = Array.from({ length: mixture.experts }, (_, expert) => {
      const expertIn = kit.routed(mlpIn, routing, expert);
      kit.tap(expertIn, expertSite(expert, 'in'), kit.config.hidden);
      const [gate, up] = (['gate', 'up'] as const).map((kind) => kit.linear(expertIn, kind, expert));
      const expertOut = kit.multiply(kit.activate(gate!), up!);
      kit.tap(expertOut, expertSite(expert, 'out'), mixture.width);
      return expertOut;
    });
    const made = (): string[] => outs.map((expertOut, expert) => kit.linear(expertOut, 'down', expert));
    kit.output(() => kit.add(middle, kit.combine(routing, made())));
  },
};
