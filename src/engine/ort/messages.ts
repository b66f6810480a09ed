// What the main thread and the engine's worker threads say to each other.

import type { MessagePort } from 'node:worker_threads';
import type { Device, HostTensor, Lent } from '../engine.js';

export type LaneSettings = {
  readonly device: Device;
  readonly threads: number;
  /** Two integers that both threads see; see LANE_STATE. */
  readonly state: Int32Array<SharedArrayBuffer>;
};
/** What a lane's thread is started with: the port is its end of the line. */
export type WorkerSettings = LaneSettings & { readonly port: MessagePort };

/** What the thread that starts lanes is started with: its own state, and the lanes' file. */
export type SpawnerSettings = { readonly state: Int32Array<SharedArrayBuffer>; readonly lane: string };
export type SpawnRequest = { readonly lane: number; readonly settings: LaneSettings; readonly port: MessagePort };
export type SpawnerReply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'unready'; readonly message: string }
  | { readonly kind: 'ended'; readonly lane: number; readonly why: string };

/**
 * Places in a lane's shared state. A thread that is ended inside ONNX Runtime takes the whole process down, so `busy`
 * counts the calls into it and `stopping`, once 1, keeps new ones from beginning.
 */
export const LANE_STATE = { stopping: 0, busy: 1 } as const;

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
      /** Whether the reply is to bring the inputs' buffers back. */
      readonly lent: boolean;
    }
  | { readonly kind: 'release'; readonly call: number; readonly session: number }
  | { readonly kind: 'stop'; readonly call: number };

export type Reply =
  | { readonly kind: 'ready'; readonly version: string }
  | { readonly kind: 'unready'; readonly message: string }
  | ({ readonly kind: 'done'; readonly call: number } & Lent)
  | { readonly kind: 'failed'; readonly call: number; readonly message: string };
