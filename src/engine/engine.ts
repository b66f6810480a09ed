// The interface of an engine, which runs graphs: load, run, release. `ort` is the fast engine. `reference` is plain
// TypeScript: slow, and the reference implementation that `ort` is tested against.

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
   * Runs the graph once. With `transfer`, the buffers of `inputs` move to the engine: they are detached and must not be
   * used again. Calls may overlap; each runs on one worker.
   */
  run(inputs: Readonly<Record<string, HostTensor>>, transfer?: boolean): Promise<Record<string, HostTensor>>;
  /**
   * Runs the graph once without copying `inputs`. Their buffers are detached and come back as new tensors over the same
   * memory. They are lost if the run fails.
   */
  lend(inputs: Readonly<Record<string, HostTensor>>): Promise<Lent>;
  release(): Promise<void>;
}

export interface Engine {
  /** Name and version, as written into records. */
  readonly name: string;
  readonly device: Device;
  /** How many runs can proceed at the same time; further calls wait. */
  readonly workers: number;
  /** How many runs to start at once, so that no worker waits for its next run. */
  readonly concurrency: number;
  load(graph: Graph): Promise<Session>;
  close(): Promise<void>;
}

/** `webgpu`: this machine's GPU, through WebGPU. `cuda`: an NVIDIA GPU, through ONNX Runtime's CUDA libraries. */
export const DEVICES = ['cpu', 'webgpu', 'cuda'] as const;
export type Device = (typeof DEVICES)[number];
