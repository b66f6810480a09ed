// One worker thread with ONNX Runtime in it, and the calls sent to it. A thread that is ended while it is inside ONNX
// Runtime takes the whole process down (its binding throws where nothing catches), so a lane is only ever ended between
// calls: `stop` lets the thread end itself, and a process that exits first waits for the call under way.

import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { InternalError, ResourceError } from '../../base/index.js';
import type { Device, Lent } from '../engine.js';
import { LANE_STATE, type Reply, type Request, type WorkerSettings } from './messages.js';

type Unnumbered<T> = T extends unknown ? Omit<T, 'call'> : never;
export type Lane = {
  readonly version: string;
  call(request: Unnumbered<Request>, graph: string, transfer?: ArrayBuffer[]): Promise<Lent>;
  /** Ends the thread after the call it is in; the others it was sent are rejected. */
  stop(): Promise<void>;
};

/** How long a process that ends waits for a lane, in milliseconds. */
const SETTLE_TIMEOUT = 60_000;

/** Of every lane that lives: blocks until its thread is outside ONNX Runtime, and keeps it outside. */
const settles = new Set<() => void>();
const settleAll = (): void => {
  for (const settle of settles) settle();
};

/** @throws ResourceError E_RESOURCE_ENGINE, E_RESOURCE_DEVICE */
export async function startLane(settings: Omit<WorkerSettings, 'state'>): Promise<Lane> {
  const state = new Int32Array(new SharedArrayBuffer(8));
  state[LANE_STATE.busy] = 1; // starting
  const workerData: WorkerSettings = { ...settings, state };
  const worker = new Worker(createRequire(import.meta.url).resolve('#engine-worker'), { workerData });
  const settle = (): void => {
    Atomics.store(state, LANE_STATE.stopping, 1);
    const end = Date.now() + SETTLE_TIMEOUT;
    for (;;) {
      const busy = Atomics.load(state, LANE_STATE.busy);
      if (busy === 0 || Date.now() >= end) return;
      Atomics.wait(state, LANE_STATE.busy, busy, end - Date.now());
    }
  };
  if (settles.size === 0) process.on('exit', settleAll);
  settles.add(settle);
  const exited = new Promise<void>((resolve) =>
    worker.once('exit', () => {
      settles.delete(settle);
      if (settles.size === 0) process.off('exit', settleAll);
      resolve();
    }),
  );
  const pending = new Map<number, { graph: string; resolve(done: Lent): void; reject(error: unknown): void }>();
  let calls = 0;
  let dead: unknown;

  const version = await new Promise<string>((resolve, reject) => {
    const fail = (cause: unknown): void => {
      dead ??= new ResourceError(
        'E_RESOURCE_ENGINE',
        `The engine (ONNX Runtime, ${settings.device}) stopped: ${cause instanceof Error ? cause.message : cause}. Reinstall with npm ci, or try --device cpu.`,
        { device: settings.device },
        { cause },
      );
      reject(dead);
      for (const call of pending.values()) call.reject(dead);
      pending.clear();
    };
    worker.on('error', fail);
    worker.on('exit', (code) => fail(`its thread ended with code ${code}`));
    worker.on('message', (reply: Reply) => {
      if (reply.kind === 'ready') return resolve(reply.version);
      if (reply.kind === 'unready') {
        dead = engineError(reply.message, 'a first graph', settings.device);
        void worker.terminate();
        return reject(dead);
      }
      const call = pending.get(reply.call);
      if (!call) return; // it was rejected already, when the thread failed
      pending.delete(reply.call);
      if (reply.kind === 'done') call.resolve(reply);
      else call.reject(engineError(reply.message, call.graph, settings.device));
    });
  });
  return {
    version,
    call: (request, graph, transfer = []) =>
      new Promise((resolve, reject) => {
        if (dead) return reject(dead);
        const call = calls++;
        pending.set(call, { graph, resolve, reject });
        try {
          worker.postMessage({ ...request, call }, transfer);
        } catch (error) {
          pending.delete(call);
          reject(error);
        }
      }),
    stop: async () => {
      dead ??= new InternalError('E_INTERNAL_ENGINE', 'The engine was used after it was closed.');
      Atomics.store(state, LANE_STATE.stopping, 1);
      worker.postMessage({ kind: 'stop', call: -1 } satisfies Request);
      await exited; // which rejects the calls that were still under way
    },
  };
}

function engineError(message: string, graph: string, device: Device): Error {
  const facts = { graph, device, engine: message };
  if (/bad_alloc|failed to allocate|out of memory/i.test(message)) {
    return new ResourceError(
      'E_RESOURCE_MEMORY',
      `Not enough memory to run ${graph} on ${device}; use a shorter --sequence-length or fewer --threads.`,
      facts,
    );
  }
  if (device !== 'cpu' && /adapter|webgpu|device/i.test(message)) {
    const reason = /Failed to .*/.exec(message)?.[0] ?? message; // without the engine's own source paths
    return new ResourceError('E_RESOURCE_DEVICE', `The ${device} device failed: ${reason}. Try --device cpu.`, facts);
  }
  return new InternalError('E_INTERNAL_ENGINE', `The engine refused ${graph} on ${device}: ${message}`, facts);
}
