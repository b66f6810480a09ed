// The messages between the main thread and the engine's worker threads.

import type { MessagePort } from 'node:worker_threads';
import type { Device, HostTensor, Lent } from '../engine.js';

export type WorkerSettings = {
  readonly device: Device;
  readonly threads: number;
  /** Two integers in shared memory; see WORKER_STATE. */
  readonly state: Int32Array<SharedArrayBuffer>;
};
/** The start data of a worker thread, with its end of the message channel. */
export type WorkerData = WorkerSettings & { readonly port: MessagePort };

/** The start data of the thread that starts workers: its own state, and the workers' file. */
export type SpawnerSettings = { readonly state: Int32Array<SharedArrayBuffer>; readonly file: string };
export type SpawnRequest = { readonly id: number; readonly settings: WorkerSettings; readonly port: MessagePort };
export type SpawnerReply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'unready'; readonly message: string }
  | { readonly kind: 'ended'; readonly id: number; readonly why: string };

/**
 * Indices into a worker's shared state. Ending a thread inside ONNX Runtime crashes the whole process, so `busy` counts
 * the calls into it, and `stopping`, once 1, keeps new calls from starting.
 */
export const WORKER_STATE = { stopping: 0, busy: 1 } as const;

export type Request =
  | {
      readonly kind: 'load';
      readonly call: number;
      readonly session: number;
      readonly model: Uint8Array;
      readonly folder: string | undefined;
    }
  | {
      readonly kind: 'run';
      readonly call: number;
      readonly session: number;
      readonly inputs: Readonly<Record<string, HostTensor>>;
      /** Whether the reply must return the inputs' buffers. */
      readonly lent: boolean;
    }
  | { readonly kind: 'release'; readonly call: number; readonly session: number }
  | { readonly kind: 'stop'; readonly call: number };

export type Reply =
  | { readonly kind: 'ready'; readonly version: string }
  | { readonly kind: 'unready'; readonly message: string }
  | ({ readonly kind: 'done'; readonly call: number } & Lent)
  | { readonly kind: 'failed'; readonly call: number; readonly message: string };
