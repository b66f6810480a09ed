// Who runs a program: a backend has the weights, the caches of keys and values, and the buffers, wherever it likes. Nothing
// above it knows an address. There are two: WebAssembly in host memory (wasm/), and WebGPU (webgpu/).

import type { PackedModel } from '../packed/portable.js';
import type { Choice } from './decoder.js';
import type { Program } from './program.js';

/** What decodes a packed model. */
export const DECODER_DEVICES = ['cpu', 'webgpu'] as const;
export type DecoderDevice = (typeof DECODER_DEVICES)[number];

export type Limits = {
  readonly sequences: number;
  /** Positions of a sequence. */
  readonly positions: number;
  /** Of one step: its rows, and its rows with logits. */
  readonly tokens: number;
  readonly picked: number;
};

/** Where a backend reads the weights, while it opens. */
export type Weights = Pick<PackedModel, 'tensors' | 'weightBytes' | 'readWeightsInto'>;

/** Rows [from, from + count) of a step; the first is at position `start` of a sequence. */
export type StepRun = {
  readonly sequence: number;
  readonly start: number;
  readonly from: number;
  readonly count: number;
};

/** The rows of a step: a token and its position each, the sequences they belong to, and the rows with logits, in order. */
export type StepRows = {
  readonly tokens: readonly number[];
  readonly positions: readonly number[];
  readonly runs: readonly StepRun[];
  readonly picks: readonly number[];
};

export interface DecodeBackend {
  readonly name: string;
  /** Reads the weights and makes room for the limits. @throws ResourceError E_RESOURCE_…; CheckpointError */
  open(program: Program, weights: Weights, limits: Limits): Promise<DecodeSession>;
}

/** One step or fork at a time. A sequence has the positions that were written last; what is behind a run is forgotten. */
export interface DecodeSession {
  /** Threads of this machine that compute. */
  readonly threads: number;
  /** On a GPU: dispatches of a step of one token with its logits. */
  readonly dispatches?: number;
  /**
   * Runs the program over the rows. Returns the logits of the picked ones, row-major [picks, V], before the program's cap,
   * in memory that the next step overwrites.
   */
  step(rows: StepRows): Promise<Float32Array>;
  /**
   * Runs the program `count` times over rows of one token a sequence, each picked: first these, then every time the likeliest
   * ones at the next positions. Yields the likeliest of each time in order; until the iteration ends nothing else may run.
   */
  write?(rows: StepRows, count: number): AsyncGenerator<readonly Choice[], void, undefined>;
  /** Gives a sequence the first `positions` positions of another. */
  fork(from: number, to: number, positions: number): Promise<void>;
  /** The speed of reading the weights and doing nothing else, in bytes per second. */
  measureBandwidth(): Promise<number>;
  close(): Promise<void>;
}
