// What block files are written against. A block file calls these methods on values it cannot look into (V); the engine's
// builder (graph-block-builder.ts) makes an ONNX graph of the calls, the decoder's makes operations for the kernels. So a
// family that can be pruned can also be run. Values between two linears are [B·T, width]; the residual is [B, T, D].

import type { BlockConfig, Mixture } from '../config.js';
import type { ExtraRole, LinearKind, NormRole } from '../families/names.js';
import type { BlockParts, TapSite } from './parts.js';

/** `R` is the result of `route`; a block file only hands it on. */
export interface BlockBuilder<V, R = unknown> {
  /** The residual before the block, [B, T, D]. */
  readonly x: V;
  readonly config: BlockConfig;
  /** The block's experts; undefined where it has one MLP. */
  readonly mixture: Mixture | undefined;

  /** A value as [B·T, width]; `width` defaults to D. */
  rows(x: V, width?: number): V;
  norm(x: V, role: NormRole): V;
  /** `expert` says whose linear it is, where experts have their own. */
  linear(x: V, kind: LinearKind, expert?: number): V;
  activate(x: V): V;
  /** a ⊙ b, where `a` is the result of `activate`. */
  multiply(a: V, b: V): V;
  /** The residual plus the output of a linear, [B, T, D]. */
  add(residual: V, x: V): V;

  /** x [B·T, D] times a vector, channel by channel. */
  scale(x: V, role: Extract<ExtraRole, 'attentionScale' | 'mlpScale'>): V;
  /** The residual at half the image's sides, where the block begins with that; else the residual. */
  halve(): V;
  /** A convolution of the image with a kernel for each channel: [B, T, D] → [B·T, D]. */
  depthwise(x: V): V;
  /** ConvNeXt V2's global response norm of x [B·T, F]: w ⊙ x ⊙ n + b + x, n a channel's norm over the image by the mean of these. */
  respond(x: V): V;

  /** Splits the last axis of x [B·T, width] into parts of these widths, in order. */
  split(x: V, widths: readonly number[]): readonly V[];
  /** q, k and v, each [B·T, heads · h], of one value in which every head has its q, k and v in a row. */
  splitHeads(x: V): readonly V[];
  /** Queries or keys [B·T, count · h]: normed over each head where the model does that, and rotated where it has a rotation. */
  rotate(x: V, count: number, norm: 'qNorm' | 'kNorm'): V;
  /** Causal attention over queries, keys and values [B·T, heads · h], as `rotate` and `linear` return them. */
  attend(q: V, k: V, v: V): V;

  /** Routes the tokens of x [B·T, D] to experts. */
  route(x: V): R;
  /** The rows of x that are routed to `expert`. */
  routed(x: V, routing: R, expert: number): V;
  /** Adds up the experts' outputs for each token: [B·T, D]. `made` has one value per expert. */
  combine(routing: R, made: readonly V[]): V;

  /** Names x as the value that linears read at `site`, for those who measure it. */
  tap(x: V, site: TapSite, width: number): void;
  /** Names the block's output, [B, T, D]. `value` is not called where only taps are wanted. */
  output(value: () => V): void;
}

/** What a block file exports: which tensors a block has, and how it computes. */
export interface BlockArchitecture {
  parts(config: BlockConfig, block: number): BlockParts;
  /** Builds the block: taps in the order of the data, then the output. */
  build<V, R>(builder: BlockBuilder<V, R>): void;
}
