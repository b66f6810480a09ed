// What runs a graph. The interface is narrow on purpose: load, run, release. `ort` is the fast engine; `reference` is
// plain TypeScript, slow, and the judge of the other.

import type { Graph } from '../graph/index.js';

/** A tensor in this process's memory, row-major. */
export type HostTensor =
  | { readonly type: 'f32'; readonly shape: readonly number[]; readonly data: Float32Array }
  | { readonly type: 'i64'; readonly shape: readonly number[]; readonly data: BigInt64Array };

export type Lent = {
  readonly inputs: Record<string, HostTensor>;
  readonly outputs: Record<string, HostTensor>;
};

export interface Session {
  /**
   * Runs the graph once. The buffers of `inputs` are handed over where `transfer` is true: they are detached and must
   * not be used again. Calls may overlap; each runs on one worker.
   */
  run(inputs: Readonly<Record<string, HostTensor>>, transfer?: boolean): Promise<Record<string, HostTensor>>;
  /**
   * Runs the graph once, without a copy of `inputs`: their buffers are detached and come back, as other tensors over the
   * same memory. They are lost where the run fails.
   */
  lend(inputs: Readonly<Record<string, HostTensor>>): Promise<Lent>;
  release(): Promise<void>;
}

export interface Engine {
  /** Name and version, as written into records. */
  readonly name: string;
  readonly device: Device;
  /** How many runs proceed at the same time; more calls than this wait their turn. */
  readonly workers: number;
  /** How many runs to ask for at once, so that no worker has to wait for its next one. */
  readonly concurrency: number;
  load(graph: Graph): Promise<Session>;
  close(): Promise<void>;
}

export const DEVICES = ['cpu', 'webgpu'] as const;
export type Device = (typeof DEVICES)[number];
