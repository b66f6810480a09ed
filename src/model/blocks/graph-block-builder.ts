// The engine's block builder: a block as an ONNX graph. Linears run as Gemm on the checkpoint's own weights, whichever way
// they lie (transB), so nothing is transposed or copied. A *tap* is an extra output: for the input of each linear, the sum
// over tokens of its square, [in], or of its outer product with itself, XᵀX [in, in].

import { float, type Graph, GraphBuilder, int } from '../../graph/index.js';
import { causalAttention, type PrefixTreeRow } from '../attention.js';
import { blockConfig } from '../block-config.js';
import type { BlockConfig, Mixture, ModelConfig } from '../config.js';
import { type ActivationGrid, fakeQuantise } from '../fake-quantise.js';
import type { ExtraRole, LinearKind, NormRole } from '../families/names.js';
import { gridOf } from '../image/config.js';
import { depthwise, halveImage, respond } from '../image/convolve.js';
import { halvesImage, residualShape, widthAt } from '../image/shapes.js';
import { activate, normalise, type TensorSource, weight } from '../nodes.js';
import { type Rope, ropeTables } from '../rope.js';
import { combine, type Routing, route } from '../routing.js';
import type { BlockBuilder } from './block-builder.js';
import { expertOf, linearRole, ROUTER, type TapSite } from './parts.js';

/**
 * What the graph returns: the block’s output, the taps (Σ x²), or both; or, instead of these, the sums Σ x, the Gram
 * matrices XᵀX, or the linears’ inputs X themselves. `nothing`: the values are only named, for who builds on them.
 */
export type BlockOutputs = 'hidden' | 'taps' | 'both' | 'sums' | 'gram' | 'inputs' | 'nothing';

/**
 * The extra output of blocks with experts: the number of tokens routed to each expert, [E], summed like a tap. With
 * `inputs`, a mask: 1 where a token is routed to an expert, [E, B·T].
 */
export const TOKENS_PER_EXPERT = 'tokensPerExpert';

/** The input with the roots of the tokens' weights at a site, [B·T, 1]: a tap then sums w·x², w·x or w·xᵀx. */
export const rootOf = (site: string): string => `root of ${site}`;

/** By tap site. */
export type ActivationGrids = ReadonlyMap<string, ActivationGrid>;

/** One of a block's linears. */
export type WeightInput = { readonly kind: LinearKind; readonly expert: number | undefined };

/**
 * Rows of prefix trees instead of windows, with two more inputs, `positions` and `subtree_end` (attention.ts). `longest`
 * is the number of tokens on the longest path from a root, which is the length of the longest sequence.
 */
export type PrefixTreeRows = { readonly longest: number };

export type BlockBuilderOptions = {
  readonly config: ModelConfig;
  readonly block: number;
  /** Tokens of each window. */
  readonly length: number;
  readonly outputs: BlockOutputs;
  /** Whether tokens count differently at the taps: then there is one more input per site (`rootOf`). */
  readonly weighted?: boolean | undefined;
  readonly trees?: PrefixTreeRows | undefined;
  /** The linear whose weights are a graph input, `w` [out, in], so that one graph can run many versions of them. */
  readonly weightInput?: WeightInput | undefined;
  /** How linears read what lies at a site; where it has no grid, as it is. */
  readonly activations?: ActivationGrids | undefined;
  /** The tensor of a role's `weight` or `bias`; undefined where the block has none. */
  readonly tensor: (role: string) => TensorSource | undefined;
  /** A graph that the block is added to, and the name of its input there. Defaults to a graph of its own, and `x`. */
  readonly graph?: GraphBuilder | undefined;
  readonly input?: string | undefined;
};

/** The values of a block that others can build on. */
export type BlockValues = {
  /** What linears read, [N, width], by site. */
  readonly sites: ReadonlyMap<TapSite, string>;
  /** The residual just before a linear's output is added to it, [B, T, D]; none where a norm stands between. */
  readonly residuals: ReadonlyMap<LinearKind, string>;
  /** By the linear before it: the vector [D] that its output is multiplied by before it is added (DINOv2). */
  readonly factors: ReadonlyMap<LinearKind, string>;
  /** The residual between attention and MLP, [B, T, D]. Where they are parallel, the MLP does not read it. */
  readonly middle: string | undefined;
  /** The block's output, [B, T, D]. */
  readonly y: string | undefined;
  /**
   * The norm that the block ends with, what it reads, and whether that is the whole residual; undefined where the last linears
   * write into `y` as they are.
   */
  readonly endNorm: { readonly role: NormRole; readonly x: string; readonly whole: boolean } | undefined;
  /** How tokens go to experts, where there are some. */
  readonly routing: Routing | undefined;
  /** The number of tokens per expert, [E]. */
  readonly tokensPerExpert: string | undefined;
  /** What the router gives before its softmax, [N, E], and what each expert gives for its own tokens, [n, D]. */
  readonly routerLogits: string | undefined;
  readonly expertOutputs: readonly string[] | undefined;
};

export class GraphBlockBuilder implements BlockBuilder<string, Routing> {
  readonly x: string;
  /** As this block has it. */
  readonly config: BlockConfig;
  /** Rows of a sample inside the block. */
  private readonly length: number;
  private readonly g: GraphBuilder;
  private readonly options: BlockBuilderOptions;
  private readonly trees: PrefixTreeRow | undefined;
  private turning: readonly [cos: string, sin: string, positions: string] | undefined;
  private readonly sites = new Map<TapSite, string>();
  /** What linears read instead of a value: the value on its grid. */
  private readonly onGrid = new Map<string, string>();
  private readonly residuals = new Map<LinearKind, string>();
  private readonly factors = new Map<LinearKind, string>();
  /** The kind of the linear that made a value. */
  private readonly made = new Map<string, LinearKind>();
  /** What the last sum added to. */
  private middle: string | undefined;
  /** The norm that made a value, and what was added to a residual to make one. */
  private readonly normed = new Map<string, { readonly role: NormRole; readonly x: string }>();
  private readonly added = new Map<string, string>();
  private y: string | undefined;
  private routing: Routing | undefined;
  private tokensPerExpert: string | undefined;
  private routerLogits: string | undefined;
  private expertOutputs: readonly string[] | undefined;

  constructor(options: BlockBuilderOptions) {
    this.options = options;
    const { config, block } = options;
    this.config = blockConfig(config, block);
    this.length = residualShape(config, block, options.length).length;
    this.g = options.graph ?? new GraphBuilder();
    const { width } = residualShape(config, block - 1, options.length);
    this.x = this.g.input(options.input ?? 'x', 'f32', ['B', options.length, width]);
    if (!options.trees) return;
    const positions = this.g.input('positions', 'i64', ['B', options.length]);
    this.trees = { positions, subtreeEnd: this.g.input('subtree_end', 'f32', ['B', 1, 1, options.length]) };
  }

  rows(x: string, width = this.config.hidden): string {
    return this.reshape(x, [-1, width]);
  }

  norm(x: string, role: NormRole): string {
    const { config } = this;
    const { tensor } = this.options;
    const width = role === 'qNorm' || role === 'kNorm' ? config.headDim : config.hidden;
    const y = normalise(this.g, config, x, { scale: tensor(`${role}.weight`), bias: tensor(`${role}.bias`), width });
    this.normed.set(y, { role, x });
    return y;
  }

  linear(x: string, kind: LinearKind, expert?: number): string {
    const { tensor, config, weightInput } = this.options;
    const role = linearRole(kind, expert);
    const isInput = weightInput?.kind === kind && weightInput.expert === expert;
    const bias = tensor(`${role}.bias`);
    const own = tensor(`${role}.weight`)!;
    const stored = config.transposed && !isInput;
    const shape = config.transposed ? own.shape.toReversed() : own.shape;
    const w = isInput ? this.g.input('w', 'f32', shape) : weight(this.g, own);
    const inputs = [this.onGrid.get(x) ?? x, w, ...(bias ? [weight(this.g, bias)] : [])];
    const made = this.g.op('Gemm', inputs, { transB: int(stored ? 0 : 1) });
    if (expert === undefined) this.made.set(made, kind);
    return made;
  }

  /** The block's values; complete once it is built. */
  get values(): BlockValues {
    const { sites, residuals, factors, middle, y, routing, tokensPerExpert, routerLogits, expertOutputs } = this;
    const whole = this.normed.get(y ?? '');
    const part = this.normed.get(this.added.get(y ?? '') ?? '');
    const endNorm = whole ? { ...whole, whole: true } : part && { ...part, whole: false };
    return { sites, residuals, factors, middle, y, endNorm, routing, tokensPerExpert, routerLogits, expertOutputs };
  }

  get mixture(): Mixture | undefined {
    return this.config.mixtures[this.options.block];
  }

  /** When measuring, also outputs the number of tokens per expert (or the mask of tokens). */
  route(x: string): Routing {
    const { g } = this;
    const { tensor, outputs } = this.options;
    const logits = g.op('Gemm', [x, weight(g, tensor(`${ROUTER}.weight`)!)], { transB: int(1) });
    const routing = route(g, logits, this.mixture!);
    this.routing = routing;
    this.routerLogits = logits;
    const { experts } = this.mixture!;
    if (outputs === 'inputs') g.output(routing.assigned, TOKENS_PER_EXPERT, [experts, 'N']);
    else if (outputs !== 'hidden') {
      this.tokensPerExpert = g.op('ReduceSum', [routing.assigned, g.shape([1])], { keepdims: int(0) });
      if (outputs !== 'nothing') g.output(this.tokensPerExpert, TOKENS_PER_EXPERT, [experts]);
    }
    return routing;
  }

  routed(x: string, { tokens }: Routing, expert: number): string {
    return this.g.op('Gather', [x, tokens[expert]!], { axis: int(0) });
  }

  combine(routing: Routing, made: readonly string[]): string {
    this.expertOutputs = made;
    return combine(this.g, routing, made, this.mixture!);
  }

  activate(x: string): string {
    return activate(this.g, this.config, x);
  }

  multiply(a: string, b: string): string {
    return this.g.op('Mul', [a, b]);
  }

  add(residual: string, x: string): string {
    const kind = this.made.get(x);
    if (kind !== undefined) this.residuals.set(kind, residual);
    this.middle = residual;
    const y = this.g.op('Add', [residual, this.reshape(x, [-1, this.length, this.config.hidden])]);
    this.added.set(y, x);
    return y;
  }

  scale(x: string, role: 'attentionScale' | 'mlpScale'): string {
    const factors = this.extra(role);
    const y = this.g.op('Mul', [x, factors]);
    const kind = this.made.get(x);
    if (kind !== undefined) {
      this.made.set(y, kind);
      this.factors.set(kind, factors);
    }
    return y;
  }

  halve(): string {
    const { config: whole, block } = this.options;
    if (!halvesImage(whole, block)) return this.x;
    const width = widthAt(whole, block - 1);
    const tensor = (role: ExtraRole): TensorSource => this.options.tensor(role)!;
    const scale = tensor('halving.norm.weight');
    const normed = normalise(this.g, this.config, this.x, { scale, bias: tensor('halving.norm.bias'), width });
    const patches = halveImage(this.g, normed, gridOf(whole.image!, block - 1), width);
    // A convolution whose kernel is as large as its step is a product of patches; its weights lie in the same order.
    const kernel = tensor('halving.weight');
    const matrix = weight(this.g, { ...kernel, shape: [this.config.hidden, 4 * width] });
    const made = this.g.op('Gemm', [patches, matrix, this.extra('halving.bias')], { transB: int(1) });
    return this.reshape(made, [-1, this.length, this.config.hidden]);
  }

  depthwise(x: string): string {
    const { config: whole, block } = this.options;
    const tensors = { kernel: this.extra('depthwise.weight'), bias: this.extra('depthwise.bias') };
    return depthwise(this.g, x, gridOf(whole.image!, block), this.config.hidden, tensors);
  }

  respond(x: string): string {
    const image = this.reshape(x, [-1, this.length, this.config.intermediate]);
    const width = this.config.intermediate;
    const tensors = { scale: this.extra('response.weight', [width]), bias: this.extra('response.bias', [width]) };
    return this.rows(respond(this.g, image, width, tensors), width);
  }

  /** One of the block's own tensors, under another shape of as many numbers. */
  private extra(role: ExtraRole, shape?: readonly number[]): string {
    const source = this.options.tensor(role)!;
    return weight(this.g, shape ? { ...source, shape } : source);
  }

  split(x: string, widths: readonly number[]): string[] {
    let end = 0;
    return widths.map((width) => {
      end += width;
      return this.columns(x, end - width, end);
    });
  }

  splitHeads(x: string): string[] {
    const { heads, headDim: h } = this.config;
    const byHead = this.reshape(x, [-1, heads, 3 * h]);
    return [0, 1, 2].map((part) => this.rows(this.columns(byHead, part * h, (part + 1) * h, 2), heads * h));
  }

  private columns(x: string, from: number, to: number, axis = 1): string {
    return this.g.op('Slice', [x, this.g.shape([from]), this.g.shape([to]), this.g.shape([axis])]);
  }

  private reshape(x: string, shape: readonly number[]): string {
    return this.g.op('Reshape', [x, this.g.shape(shape)]);
  }

  tap(value: string, site: TapSite, width: number): void {
    const { g } = this;
    const { outputs, weighted } = this.options;
    this.sites.set(site, value);
    const grid = this.options.activations?.get(site);
    if (grid) this.onGrid.set(value, fakeQuantise(g, value, grid, site));
    if (outputs === 'hidden' || outputs === 'nothing') return;
    if (outputs === 'inputs') {
      g.output(value, site, [expertOf(site) === undefined ? 'N' : `N_${site}`, width]);
      return;
    }
    const root = weighted ? g.input(rootOf(site), 'f32', ['N', 1]) : undefined;
    const times = (x: string): string => (root === undefined ? x : g.op('Mul', [x, root]));
    const x = times(value);
    if (outputs === 'gram') g.output(g.op('Gemm', [x, x], { transA: int(1) }), site, [width, width]);
    else if (outputs === 'sums')
      g.output(g.op('ReduceSum', [times(x), g.shape([0])], { keepdims: int(0) }), site, [width]);
    else g.output(g.op('ReduceSumSquare', [x, g.shape([0])], { keepdims: int(0) }), site, [width]);
  }

  rotate(x: string, count: number, norm: 'qNorm' | 'kNorm'): string {
    const { g } = this;
    const { length: T, block, config } = this.options;
    const { headDim, qkNorm } = config;
    const rope = (config.windows[block] !== undefined && config.localRope) || config.rope;
    const normed = qkNorm ? this.norm(this.reshape(x, [-1, T, count, headDim]), norm) : x;
    if (!rope) return normed;
    const wide = this.reshape(normed, [-1, T, count * headDim]);
    this.turning ??= this.rotation(rope);
    return g.op('RotaryEmbedding', [wide, ...this.turning], {
      num_heads: int(count),
      ...(rope.dims < headDim ? { rotary_embedding_dim: int(rope.dims) } : {}),
    });
  }

  /** Tables of cos and sin, and a row of positions per sequence: those of the trees, else [1, T] broadcast to [B, T]. */
  private rotation(rope: Rope): readonly [cos: string, sin: string, positions: string] {
    const { g } = this;
    const { length: T, trees } = this.options;
    const tables = ropeTables(rope, T, trees?.longest);
    const cos = g.constant('rope_cos', tables.cos, [T, rope.dims / 2]);
    const sin = g.constant('rope_sin', tables.sin, [T, rope.dims / 2]);
    if (this.trees) return [cos, sin, this.trees.positions];
    const bytes = new Uint8Array(new BigInt64Array(Array.from({ length: T }, (_, t) => BigInt(t))).buffer);
    const row = g.initializer({ name: 'positions', dtype: 'I64', shape: [1, T], source: { kind: 'bytes', bytes } });
    const batch = g.op('Slice', [g.op('Shape', [this.x]), g.shape([0]), g.shape([1])]);
    return [cos, sin, g.op('Expand', [row, g.op('Concat', [batch, g.shape([T])], { axis: int(0) })])];
  }

  attend(q: string, k: string, v: string): string {
    const { length: T, block } = this.options;
    const { heads, kvHeads, headDim, windows, attention: settings, causal } = this.config;
    const wide = (x: string, count: number): string => this.reshape(x, [-1, T, count * headDim]);
    if (!causal) {
      const attended = this.g.op('Attention', [wide(q, heads), wide(k, kvHeads), wide(v, kvHeads)], {
        q_num_heads: int(heads),
        kv_num_heads: int(kvHeads),
        scale: float(settings.scale),
      });
      return this.rows(attended, heads * headDim);
    }
    const attention = causalAttention(
      this.g,
      { q: wide(q, heads), k: wide(k, kvHeads), v: wide(v, kvHeads) },
      { length: T, window: windows[block], trees: this.trees },
      {
        q_num_heads: int(heads),
        kv_num_heads: int(kvHeads),
        scale: float(settings.scale),
        ...(settings.cap === undefined ? {} : { softcap: float(settings.cap) }),
      },
    );
    return this.rows(attention, heads * headDim);
  }

  output(value: () => string): void {
    const { length, config } = this;
    const { outputs } = this.options;
    if (outputs === 'nothing') this.y = value();
    else if (outputs === 'hidden' || outputs === 'both') this.g.output(value(), 'y', ['B', length, config.hidden]);
  }

  build(name: string, folder: string): Graph {
    return this.g.build(name, folder);
  }
}
