// A graph of one block from which its end is fitted to a given residual: the block runs on its input `x`, and `target` is what
// it should give instead of `y`, both [B, T, D]. With r = target − y, what is fitted in closed form is
//   down          y is linear in its weights: r·X̃ᵀ [out, in] (`<site>.pull`) and X̃X̃ᵀ [in, in] (`<site>`)
//   each expert's the same on its own tokens, with X̃ multiplied by the expert's share of each
//   the last norm where the block ends with one (gemma; OPT that norms afterwards): y is linear in its gain and bias, whose sums
//                 over tokens are Σ n², Σ n·r, Σ n and Σ r, n being the value before the gain
// Outputs are sums over the tokens of a run.

import { type Graph, GraphBuilder, int } from '../graph/index.js';
import { buildWith } from './blocks/architectures.js';
import { GraphBlockBuilder } from './blocks/graph-block-builder.js';
import { type BlockSource, checkpointSource, type Model } from './model.js';
import { normalise } from './nodes.js';
import { pullOf } from './pair.js';
import { sharesOfExperts } from './routing.js';
import { type Linear, tensorsByRole } from './tensor-names.js';

/** What of a block is fitted. */
export type BlockEnd =
  | {
      readonly kind: 'linears';
      readonly linears: readonly Linear[];
      /** How many of them write for one token: the experts of a token, else 1. */
      readonly perToken: number;
    }
  | {
      readonly kind: 'norm';
      /** The names of its tensors; undefined where the norm has none. */
      readonly gain: string | undefined;
      readonly bias: string | undefined;
      /** Whether it norms the whole residual (OPT), and not only what the block adds to it (gemma). */
      readonly whole: boolean;
    };

export const SEAM_INPUTS = { x: 'x', target: 'target' } as const;
/** Sums over tokens for a norm, [D] each. */
export const NORM_SUMS = { squares: 'squares', pull: 'pull', values: 'values', missing: 'missing' } as const;

/** What is fitted at the end of block `block`, and the graph of its sums for windows of `length` tokens. */
export function seamGraph(
  model: Model,
  block: number,
  length: number,
  source: BlockSource = checkpointSource(model.checkpoint),
): { readonly graph: Graph; readonly end: BlockEnd } {
  const { config, tensorNames } = model;
  const tensor = tensorsByRole(config, tensorNames, block, source.find);
  const g = new GraphBuilder();
  const builder = new GraphBlockBuilder({ config, block, length, outputs: 'nothing', tensor, graph: g });
  buildWith(config, builder);
  const { sites, y, endNorm, routing } = builder.values;
  const target = g.input(SEAM_INPUTS.target, 'f32', ['B', length, config.hidden]);
  const rows = (value: string): string => g.op('Reshape', [value, g.shape([-1, config.hidden])]);
  const r = rows(g.op('Sub', [target, y!]));
  const build = (): Graph => g.build(`the end of block ${block}`, source.folder);
  if (endNorm) {
    const { role } = endNorm;
    const width = config.hidden;
    // A gain of one: `rms+1` would add another one to it.
    const plain = { ...config, norm: config.norm === 'layer' ? ('layer' as const) : ('rms' as const) };
    const n = normalise(g, plain, rows(endNorm.x), { scale: undefined, bias: undefined, width });
    const sum = (value: string, name: string): void => {
      g.output(g.op('ReduceSum', [value, g.shape([0])], { keepdims: int(0) }), name, [width]);
    };
    sum(g.op('Mul', [n, n]), NORM_SUMS.squares);
    sum(g.op('Mul', [n, r]), NORM_SUMS.pull);
    sum(n, NORM_SUMS.values);
    sum(r, NORM_SUMS.missing);
    const nameOf = tensorsByRole(config, tensorNames, block, (name) => name);
    const [gain, bias] = [nameOf(`${role}.weight`), nameOf(`${role}.bias`)];
    return { graph: build(), end: { kind: 'norm', gain, bias, whole: endNorm.whole } };
  }
  const linears = model.linears[block]!.filter(({ kind }) => kind === 'down');
  const mixture = config.mixtures[block];
  const shares = routing && mixture ? sharesOfExperts(g, routing, mixture) : undefined;
  for (const { site, rows: out, columns, expert } of linears) {
    const X = sites.get(site)!;
    const own = expert === undefined ? undefined : { rows: routing!.tokens[expert]!, share: shares![expert]! };
    const Z = own ? g.op('Mul', [X, own.share]) : X;
    const missing = own ? g.op('Gather', [r, own.rows], { axis: int(0) }) : r;
    g.output(g.op('Gemm', [Z, Z], { transA: int(1) }), site, [columns, columns]);
    g.output(g.op('Gemm', [missing, Z], { transA: int(1) }), pullOf(site), [out, columns]);
  }
  return { graph: build(), end: { kind: 'linears', linears, perToken: mixture?.perToken ?? 1 } };
}
