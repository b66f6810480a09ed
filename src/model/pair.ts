// Two versions of one block in a graph, on two streams of the same tokens: `dense` runs the checkpoint's block on x, `treated`
// runs an edited block on x̃. The outputs are the sums over tokens from which a linear is fitted to the dense stream: at each
// site the Gram matrix, and how far the dense model's output is from what the linear would give now ("pull"):
//   <site>        X̃ᵀX̃ [in, in]                        <site>.sums   Σ x̃ [in]
//   <site>.cross  (X − X̃)ᵀX̃ [in, in], where several linears read; the pull of each is α·W·cross
//   <site>.pull   (α·(X − X̃)Wᵀ + γ·r)ᵀX̃ [out, in], where one linear reads and writes into the residual; r is the dense residual
//                 minus the treated one before its output is added, over the factors of a layer scale (DINOv2) where there is one;
//                 without r where a norm stands between (gemma)
//   y             the output of one of the two, [B, T, D]
// Experts see different tokens in the two streams. Their sites have a Gram matrix and sums alone.

import { type Graph, GraphBuilder, int, keepOutputs, type ValueInfo } from '../graph/index.js';
import { buildWith } from './blocks/architectures.js';
import { type BlockValues, GraphBlockBuilder, rootOf, TOKENS_PER_EXPERT } from './blocks/graph-block-builder.js';
import { expertOf, type TapSite } from './blocks/parts.js';
import { weightName } from './linear.js';
import { type BlockSource, checkpointSource, type Model } from './model.js';
import { weight } from './nodes.js';
import { type Linear, tensorsByRole } from './tensor-names.js';

/** How much of the difference to the dense stream a linear takes over. */
export type TargetShares = {
  /** Of the error of its own input: 0 fits it to W·X̃, 1 to W·X. */
  readonly alpha: number;
  /** Of the error that the residual carries; for linears that write into it. */
  readonly gamma: number;
};

export type PairOptions = {
  readonly length: number;
  readonly shares: TargetShares;
  /** The sites whose sums are wanted. */
  readonly sites: readonly TapSite[];
  /** Whether tokens count differently: every sum then has a weight per token, and an input per site (`rootOf`). */
  readonly weighted?: boolean | undefined;
  /** Whose output `y` is wanted too. */
  readonly hidden?: 'dense' | 'treated' | undefined;
  /** Values, by their names in heldValues, that are outputs too; and values that are inputs instead of being computed. */
  readonly keep?: readonly string[];
  readonly give?: readonly string[];
  /** Weights that were edited already, by tensor name, in the file's order and dtype. */
  readonly edited: ReadonlyMap<string, Uint8Array>;
};

/** The names of the two streams among the inputs. */
export const PAIR_INPUTS = { treated: 'x', dense: 'x_dense' } as const;

/** A value inside the block that stays as it is once the linears before it are treated. */
export type HeldValue = {
  readonly name: string;
  /** The last site whose linears it depends on. */
  readonly after: TapSite;
  readonly width: number;
  /** [B·T, width] rather than [B, T, width]. */
  readonly flat: boolean;
};

/**
 * The values of a block that later runs of its pair need not compute again: what `o` reads, the residual in the middle of the
 * block, and what `down` reads in the treated version.
 */
export function heldValues({ config, linears }: Model, block: number): readonly HeldValue[] {
  const widthAt = (site: TapSite): number | undefined => linears[block]!.find((one) => one.site === site)?.columns;
  const both = (name: string, rest: Omit<HeldValue, 'name'>): HeldValue[] =>
    (['treated', 'dense'] as const).map((version) => ({ name: heldName(name, version), ...rest }));
  const [attended, activated] = [widthAt('attention_out')!, widthAt('mlp_out')];
  return [
    ...both('attended', { after: 'attention_in', width: attended, flat: true }),
    ...both('middle', { after: 'attention_out', width: config.hidden, flat: false }),
    ...(activated ? [{ name: 'activated', after: 'mlp_in', width: activated, flat: true } as const] : []),
  ];
}

const heldName = (name: string, version: keyof typeof PAIR_INPUTS): string =>
  version === 'dense' ? `${name}_dense` : name;

const EDITED = ' (edited)'; // cannot end the name of a tensor that a checkpoint can have beside the original

/** The graph of block `block`, dense and treated. Its inputs are those of PAIR_INPUTS and of `give` that its outputs need. */
export function pairGraph(model: Model, block: number, options: PairOptions): Graph {
  const { config, tensorNames, checkpoint } = model;
  const { length, shares, sites, weighted, hidden, keep = [], give = [], edited } = options;
  const { folder, find } = checkpointSource(checkpoint);
  const g = new GraphBuilder();
  const versionOf = (input: string, source: BlockSource['find']): BlockValues => {
    const tensor = tensorsByRole(config, tensorNames, block, source);
    const builder = new GraphBlockBuilder({ config, block, length, outputs: 'nothing', tensor, graph: g, input });
    buildWith(config, builder);
    return builder.values;
  };
  const treated = versionOf(PAIR_INPUTS.treated, (name) => {
    const bytes = edited.get(name);
    return bytes ? { ...find(name), name: name + EDITED, source: { kind: 'bytes', bytes } } : find(name);
  });
  const dense = versionOf(PAIR_INPUTS.dense, find);
  const outputs: string[] = [];
  const output = (value: string, name: string, shape: readonly (number | string)[]): void => {
    g.output(value, name, shape);
    outputs.push(name);
  };
  for (const site of sites) {
    const linears = model.linears[block]!.filter((linear) => linear.site === site);
    const { columns } = linears[0]!;
    const Y = treated.sites.get(site)!;
    const expert = expertOf(site) !== undefined;
    const root = weighted ? g.input(rootOf(site), 'f32', ['N', 1]) : undefined;
    const weigh = (A: string): string => (root === undefined ? A : g.op('Mul', [A, root]));
    const rooted = weigh(Y);
    const times = (A: string): string => g.op('Gemm', [A === Y ? rooted : weigh(A), rooted], { transA: int(1) });
    output(times(Y), site, [columns, columns]);
    output(g.op('ReduceSum', [weigh(rooted), g.shape([0])], { keepdims: int(0) }), sumsOf(site), [columns]);
    if (expert) continue;
    const X = dense.sites.get(site)!;
    const [only] = linears;
    if (!writesAlone(linears)) {
      if (shares.alpha !== 0) output(times(g.op('Sub', [X, Y])), crossOf(site), [columns, columns]);
      continue;
    }
    const parts: string[] = [];
    if (shares.alpha !== 0) {
      const W = weight(g, find(weightName(only!)));
      const y = g.op('Gemm', [g.op('Sub', [X, Y]), W], { transB: int(only!.transposed ? 0 : 1) });
      parts.push(share(g, 'alpha', shares.alpha, y));
    }
    const [r, s] = [dense, treated].map(({ residuals }) => residuals.get(only!.kind));
    if (shares.gamma !== 0 && r !== undefined && s !== undefined) {
      const lost = g.op('Reshape', [g.op('Sub', [r, s]), g.shape([-1, config.hidden])]);
      const factors = dense.factors.get(only!.kind);
      parts.push(share(g, 'gamma', shares.gamma, factors === undefined ? lost : unscale(g, lost, factors)));
    }
    if (parts.length === 0) continue;
    const wanted = parts.length === 1 ? parts[0]! : g.op('Add', parts);
    output(times(wanted), pullOf(site), [only!.rows, columns]);
  }
  if (treated.tokensPerExpert !== undefined && sites.some((site) => expertOf(site) !== undefined)) {
    output(treated.tokensPerExpert, TOKENS_PER_EXPERT, [config.mixtures[block]!.experts]);
  }
  if (hidden) output((hidden === 'dense' ? dense : treated).y!, 'y', ['B', length, config.hidden]);
  const values: Readonly<Record<string, string | undefined>> = {
    attended: treated.sites.get('attention_out'),
    attended_dense: dense.sites.get('attention_out'),
    middle: treated.middle,
    middle_dense: dense.middle,
    activated: treated.sites.get('mlp_out'),
  };
  const given = new Map<string, ValueInfo>();
  for (const { name, flat, width } of heldValues(model, block)) {
    const shape = flat ? ['N', width] : ['B', length, width];
    if (give.includes(name)) given.set(values[name]!, { name, type: 'f32', shape });
    else if (keep.includes(name)) output(values[name]!, name, shape);
  }
  return keepOutputs(g.build(`block ${block}, dense and treated`, folder), outputs, given);
}

export const sumsOf = (site: string): string => `${site}.sums`;
export const crossOf = (site: string): string => `${site}.cross`;
export const pullOf = (site: string): string => `${site}.pull`;

const share = (g: GraphBuilder, name: keyof TargetShares, value: number, x: string): string =>
  g.op('Mul', [x, g.constant(name, Float32Array.of(value), [1])]);

/** What factors this small scale is next to nothing, and quotients by them are kept from growing without end. */
const LEAST_FACTOR = 1e-6;

/** x / f, as f·x / (f² + ε): a row that the residual gets none of is asked for nothing. */
function unscale(g: GraphBuilder, x: string, factors: string): string {
  const least = g.constant('least', Float32Array.of(LEAST_FACTOR ** 2), [1]);
  const square = g.op('Add', [g.op('Mul', [factors, factors]), least]);
  return g.op('Div', [g.op('Mul', [x, factors]), square]);
}

/** Whether the site is read by one linear, which writes into the residual. */
export const writesAlone = (linears: readonly Linear[]): boolean =>
  linears.length === 1 && linears[0]!.feeds === 'residual';
