// A model as a program for the kernels: what is done, in order, on which buffers. Plain data, made once from the config
// (lower.ts) and handed to every thread. A buffer has one row of float32 numbers for each token of a step; a quantised
// buffer one of int8 numbers and a scale. Buffer 0 is the residual x. What experts are given and make of it has k rows for
// each token, k its experts: those of the first expert's tokens, then those of the second's (routes.ts).

import type { Kit, ModelConfig, Rope } from '../model/portable.js';

/** Columns [offset, offset + width) of a buffer; where rows are those of experts, `routed` is how many a token has. */
export type Value = {
  readonly buffer: number;
  readonly offset: number;
  readonly width: number;
  readonly routed?: number | undefined;
};

/** A buffer: numbers in a row, and rows for each token. */
export type Rowed = { readonly width: number; readonly perToken: number };

export type Mixture = NonNullable<Kit['mixture']>;

export type Activation = ModelConfig['activation'];

export type Operation =
  /** Each of `heads` parts of x, normed on its own. */
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
  /** y = W·x + bias, from x itself or from its quantised twin. */
  | {
      readonly kind: 'linear';
      readonly x: Value;
      readonly q: number | undefined;
      readonly y: Value;
      readonly weight: string;
      readonly bias: string | undefined;
      /** The rows of y are then added to this, by the thread that made them. */
      readonly addTo: Value | undefined;
    }
  /** Finds each token's experts from the router's logits; every thread does it all, and finds the same. */
  | { readonly kind: 'route'; readonly logits: Value; readonly mixture: Mixture }
  /** Rows of x, a token's, to where its experts read them. */
  | { readonly kind: 'gather'; readonly x: Value; readonly y: Value }
  /** y = W·x, W the weight of the expert whose row it is. Some may read x itself, others its quantised twin. */
  | {
      readonly kind: 'experts';
      readonly x: Value;
      readonly q: number | undefined;
      readonly y: Value;
      readonly weights: readonly string[];
    }
  /** y = Σ of what a token's experts made of it, each times what the router says it counts for. */
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
   * Query heads side by side, turned by their position by one of the program's rotations, or as they are; `pitch` numbers
   * from one head of x to the next.
   */
  | {
      readonly kind: 'rotate';
      readonly x: Value;
      readonly pitch: number;
      readonly rope: number | undefined;
      readonly y: Value;
      readonly heads: number;
    }
  /** Key or value heads of x, stored likewise at the token's place in its sequence's cache. */
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
  /** x of the tokens picked → `logits`. */
  readonly head: readonly Operation[];
  readonly logits: Value;
  readonly buffers: readonly Rowed[];
  readonly quantised: readonly Rowed[];
  /** Buffers from these on are the head's, with a row for each token picked. */
  readonly headBuffers: number;
  readonly headQuantised: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocabulary: number;
  readonly attention: ModelConfig['attention'];
  readonly logitCap: number | undefined;
  /** The row of the table of positions that position 0 has. */
  readonly positionOffset: number;
  readonly ropes: readonly Rope[];
  /** Weights of norms that are stored less one. */
  readonly lessOne: readonly string[];
};
