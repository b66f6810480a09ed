// A model as a program for the kernels: which operations run, in which order, on which buffers. Plain data, made once
// from the config (lower.ts) and sent to every thread. A buffer has one row of float32 numbers for each token of a
// step; a quantised buffer has a row of int8 numbers and a scale. Buffer 0 is the residual x. The inputs and outputs of
// experts have k rows per token, where k is the number of experts per token: first the rows of the first expert's
// tokens, then those of the second's (wasm/routes.ts).

import type { BlockBuilder, ModelConfig, Rope } from '../model/portable.js';

/**
 * Columns [offset, offset + width) of a buffer. Where rows belong to experts, `routed` is the number of rows per token.
 */
export type Value = {
  readonly buffer: number;
  readonly offset: number;
  readonly width: number;
  readonly routed?: number | undefined;
};

/** A buffer: numbers per row, and rows per token. */
export type Rowed = { readonly width: number; readonly perToken: number };

export type Mixture = NonNullable<BlockBuilder<string>['mixture']>;

/** Of language models. */
export type Activation = Exclude<ModelConfig['activation'], 'quick_gelu'>;

export type Operation =
  /** Normalises each of `heads` parts of x on its own. */
  | {
      readonly kind: 'norm';
      readonly norm: ModelConfig['norm'];
      readonly x: Value;
      readonly y: Value;
      readonly heads: number;
      readonly weight: string | undefined;
      readonly bias: string | undefined;
      readonly epsilon: number;
    }
  | { readonly kind: 'quantise'; readonly x: Value; readonly q: number }
  /** y = W·x + bias, from x itself or from its quantised copy. */
  | {
      readonly kind: 'linear';
      readonly x: Value;
      readonly q: number | undefined;
      readonly y: Value;
      readonly weight: string;
      readonly bias: string | undefined;
      /** If set, the thread that computed a row of y then adds it to this. */
      readonly addTo: Value | undefined;
    }
  /** Finds each token's experts from the router's logits. Every thread computes all routes. */
  | { readonly kind: 'route'; readonly logits: Value; readonly mixture: Mixture }
  /** Copies each token's row of x to where its experts read it. */
  | { readonly kind: 'gather'; readonly x: Value; readonly y: Value }
  /** y = W·x, where W is the weight of the row's expert. Some weights read x itself, others its quantised copy. */
  | {
      readonly kind: 'experts';
      readonly x: Value;
      readonly q: number | undefined;
      readonly y: Value;
      readonly weights: readonly string[];
    }
  /** y = Σ of the outputs of a token's experts, each times its share from the router. */
  | { readonly kind: 'combine'; readonly x: Value; readonly y: Value }
  /** y = activation(x), times `up` where there is one. */
  | {
      readonly kind: 'activate';
      readonly activation: Activation;
      readonly x: Value;
      readonly up: Value | undefined;
      readonly y: Value;
    }
  /**
   * Query heads side by side, rotated for their position by one of the program's rotations, or copied. `pitch` is the
   * numbers from one head of x to the next.
   */
  | {
      readonly kind: 'rotate';
      readonly x: Value;
      readonly pitch: number;
      readonly rope: number | undefined;
      readonly y: Value;
      readonly heads: number;
    }
  /** Stores key or value heads of x, rotated or copied, at the token's position in its sequence's cache. */
  | {
      readonly kind: 'store';
      readonly what: 'keys' | 'values';
      readonly x: Value;
      readonly pitch: number;
      readonly rope: number | undefined;
    }
  | { readonly kind: 'attend'; readonly q: Value; readonly y: Value; readonly window: number }
  /** y = factor · x. */
  | { readonly kind: 'scale'; readonly x: Value; readonly y: Value; readonly factor: number }
  | { readonly kind: 'copy'; readonly x: Value; readonly y: Value }
  /** Rows of a table for the step's tokens, or for their positions. */
  | { readonly kind: 'look'; readonly table: string; readonly by: 'token' | 'position'; readonly y: Value }
  /** x of the tokens whose logits are wanted. */
  | { readonly kind: 'pick'; readonly x: Value; readonly y: Value }
  | { readonly kind: 'add'; readonly x: Value; readonly y: Value };

export type Program = {
  /** Tokens → x. */
  readonly embed: readonly Operation[];
  readonly blocks: readonly (readonly Operation[])[];
  /** x of the picked tokens → `logits`. */
  readonly head: readonly Operation[];
  readonly logits: Value;
  readonly buffers: readonly Rowed[];
  readonly quantised: readonly Rowed[];
  /** From these indices on, buffers belong to the head and have a row for each picked token. */
  readonly headBuffers: number;
  readonly headQuantised: number;
  /** The heads of each block. */
  readonly widths: readonly { readonly heads: number; readonly kvHeads: number }[];
  readonly headDim: number;
  readonly vocabulary: number;
  readonly attention: ModelConfig['attention'];
  readonly logitCap: number | undefined;
  /** The row for position 0 in the table of positions. */
  readonly positionOffset: number;
  readonly ropes: readonly Rope[];
  /** Norm weights that are stored minus one. */
  readonly storedMinusOne: readonly string[];
};
