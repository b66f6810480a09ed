// Neighbouring blocks side by side as one wide block (FlattenGPT, arXiv 2602.08858). All members read the same residual:
//   m = x + Σᵢ oᵢ·Aᵢ(nᵢ x) + bᵢ;   y = m + Σᵢ downᵢ·Gᵢ(n'ᵢ m) + b'ᵢ        (parallel blocks: Gᵢ(n'ᵢ x))
// which is a block whose heads and channels are those of all members. Graphs of its two sums, with Z [N, n] what `o` (or
// `down`) of the wide block reads, the members' one after another:
//   wideSums      the Gram matrix ZᵀZ and, if there is a `target` [B, T, D], (target − base − Σ b)ᵀZ [D, n]
//   wideOutput    base + Z·Wᵀ + Σ b [B, T, D] for weights W [D, n]

import { type Graph, GraphBuilder, int, keepOutputs, type ValueInfo } from '../graph/index.js';
import { buildWith } from './blocks/architectures.js';
import { GraphBlockBuilder } from './blocks/graph-block-builder.js';
import { checkpointSource, type Model } from './model.js';
import { weight } from './nodes.js';
import { tensorsByRole } from './tensor-names.js';

export type WidePart = 'attention' | 'mlp';

export const WIDE_OUTPUTS = { gram: 'gram', toward: 'toward', y: 'y' } as const;
export const WIDE_INPUTS = { base: 'base', target: 'target' } as const;
/** The input of a member: the residual that its half reads. All are fed the same. */
export const memberInput = (member: number): string => `x of ${member}`;

/** The last linear of a half, and the site that it reads. */
export const endOf = (part: WidePart) =>
  part === 'attention' ? ({ kind: 'o', site: 'attention_out' } as const) : ({ kind: 'down', site: 'mlp_out' } as const);

export type WideOptions = {
  readonly length: number;
  /** Whether the sums towards a target are wanted. */
  readonly target?: boolean;
};

/** The sums from which the wide block's `o` or `down` is fitted and cut. */
export function wideSums(model: Model, members: readonly number[], part: WidePart, options: WideOptions): Graph {
  const { g, folder, Z, n, bias, given } = wideInputs(model, members, part, options.length);
  const { hidden } = model.config;
  g.output(g.op('Gemm', [Z, Z], { transA: int(1) }), WIDE_OUTPUTS.gram, [n, n]);
  const outputs: string[] = [WIDE_OUTPUTS.gram];
  if (options.target) {
    const [target, base] = [WIDE_INPUTS.target, WIDE_INPUTS.base].map((name) =>
      g.input(name, 'f32', ['B', options.length, hidden]),
    );
    const gap = g.op('Reshape', [g.op('Sub', [target!, base!]), g.shape([-1, hidden])]);
    const wanted = bias.reduce((sum, one) => g.op('Sub', [sum, one]), gap);
    g.output(g.op('Gemm', [wanted, Z], { transA: int(1) }), WIDE_OUTPUTS.toward, [hidden, n]);
    outputs.push(WIDE_OUTPUTS.toward);
  }
  return keepOutputs(g.build(`${part} of blocks ${members}`, folder), outputs, given);
}

/** The residual after a half of the wide block, with `W` [D, n] as its last linear. */
export function wideOutput(
  model: Model,
  members: readonly number[],
  part: WidePart,
  W: Float32Array,
  { length }: WideOptions,
): Graph {
  const { g, folder, Z, n, bias, given } = wideInputs(model, members, part, length);
  const { hidden } = model.config;
  const base = g.input(WIDE_INPUTS.base, 'f32', ['B', length, hidden]);
  const made = g.op('Gemm', [Z, g.constant('wide weights', W, [hidden, n])], { transB: int(1) });
  const sum = bias.reduce((all, one) => g.op('Add', [all, one]), made);
  const y = g.op('Add', [base, g.op('Reshape', [sum, g.shape([-1, length, hidden])])]);
  g.output(y, WIDE_OUTPUTS.y, ['B', length, hidden]);
  return keepOutputs(g.build(`${part} of blocks ${members}`, folder), [WIDE_OUTPUTS.y], given);
}

/** The graph so far, what `o` or `down` of the wide block reads, its width, the members' biases, and where the graph is cut. */
function wideInputs(model: Model, members: readonly number[], part: WidePart, length: number) {
  const { config, tensorNames, checkpoint } = model;
  const { folder, find } = checkpointSource(checkpoint);
  const { kind, site } = endOf(part);
  // Where the MLP reads the residual between the halves, that is what its members are given.
  const between = part === 'mlp' && !config.parallel;
  const g = new GraphBuilder();
  const given = new Map<string, ValueInfo>();
  const bias: string[] = [];
  const read = members.map((block) => {
    const tensor = tensorsByRole(config, tensorNames, block, find);
    const input = between ? `${memberInput(block)}, before attention` : memberInput(block);
    const builder = new GraphBlockBuilder({ config, block, length, outputs: 'nothing', tensor, graph: g, input });
    buildWith(config, builder);
    const { sites, middle } = builder.values;
    if (between) given.set(middle!, { name: memberInput(block), type: 'f32', shape: ['B', length, config.hidden] });
    const own = tensor(`${kind}.bias`);
    if (own) bias.push(weight(g, own));
    return sites.get(site)!;
  });
  const n = members.reduce((sum, block) => sum + model.linears[block]!.find((one) => one.kind === kind)!.columns, 0);
  return { g, folder, Z: g.op('Concat', read, { axis: int(1) }), n, bias, given };
}
