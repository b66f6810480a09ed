// A graph of one block with experts that also says what each expert is worth to the tokens that are given to it. Beside the
// block's output `y` it returns, summed over the tokens of a run,
//   tokensPerExpert  |X_j|, the number of tokens given to expert j: [E]
//   contribution     Σ_{x ∈ X_j} g_j(x)·‖f_j(x)‖₂: [E], g_j the weight that the model multiplies the expert's output f_j by
//   agreement        ΛᵀΛ, Λ the router's logits of all tokens [N, E]: [E, E]
// REAP's score is contribution / tokens (arXiv 2510.13999); M-SMoE's similarity of two experts is the cosine of their
// columns of Λ (arXiv 2310.01334), which is agreement_ij / √(agreement_ii · agreement_jj).

import { type Graph, GraphBuilder, int } from '../graph/index.js';
import { buildWith } from './blocks/architectures.js';
import { GraphBlockBuilder, TOKENS_PER_EXPERT } from './blocks/graph-block-builder.js';
import { checkpointSource, type Model } from './model.js';
import { sharesOfExperts } from './routing.js';
import { tensorsByRole } from './tensor-names.js';

/** The names of the sums besides `TOKENS_PER_EXPERT`. */
export const EXPERT_SUMS = { contribution: 'contribution', agreement: 'agreement' } as const;

/** The graph of block `block`, which has experts, for windows of `length` tokens. */
export function expertGraph(model: Model, block: number, length: number): Graph {
  const { config, tensorNames, checkpoint } = model;
  const { folder, find } = checkpointSource(checkpoint);
  const tensor = tensorsByRole(config, tensorNames, block, find);
  const g = new GraphBuilder();
  const builder = new GraphBlockBuilder({ config, block, length, outputs: 'nothing', tensor, graph: g });
  buildWith(config, builder);
  const { y, routing, tokensPerExpert, routerLogits, expertOutputs } = builder.values;
  const mixture = config.mixtures[block]!;
  const shares = sharesOfExperts(g, routing!, mixture);
  const contributions = expertOutputs!.map((made, expert) => {
    const norms = g.op('Sqrt', [g.op('ReduceSumSquare', [made, g.shape([1])], { keepdims: int(1) })]);
    const weighted = g.op('Mul', [norms, shares[expert]!]);
    return g.op('ReduceSum', [weighted, g.shape([0])], { keepdims: int(0) });
  });
  const { experts } = mixture;
  g.output(tokensPerExpert!, TOKENS_PER_EXPERT, [experts]);
  g.output(g.op('Concat', contributions, { axis: int(0) }), EXPERT_SUMS.contribution, [experts]);
  const agreement = g.op('Gemm', [routerLogits!, routerLogits!], { transA: int(1) });
  g.output(agreement, EXPERT_SUMS.agreement, [experts, experts]);
  g.output(y!, 'y', ['B', length, config.hidden]);
  return g.build(`block ${block} with its experts' worth`, folder);
}
