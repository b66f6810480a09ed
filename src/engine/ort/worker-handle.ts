// The main thread's handle on one worker thread: the calls sent to it, and its end. A worker ends only between calls
// (settle.ts): `stop` lets the thread end itself.

import { InternalError, messageOf, ResourceError } from '../../base/index.js';
import type { Device, Lent } from '../engine.js';
import { type Reply, type Request, WORKER_STATE, type WorkerSettings } from './messages.js';
import { newState } from './settle.js';
import { startThread } from './spawner.js';

type Unnumbered<T> = T extends unknown ? Omit<T, 'call'> : never;
export type WorkerHandle = {
  readonly version: string;
  call(request: Unnumbered<Request>, graph: string, transfer?: ArrayBuffer[]): Promise<Lent>;
  /** Ends the thread after its current call; later calls already sent are rejected. */
  stop(): Promise<void>;
};

/** @throws ResourceError E_RESOURCE_ENGINE, E_RESOURCE_DEVICE */
export async function startWorker(settings: Omit<WorkerSettings, 'state'>): Promise<WorkerHandle> {
  const { device } = settings;
  const stopped = (cause: unknown): ResourceError =>
    new ResourceError(
      'E_RESOURCE_ENGINE',
      `The engine (ONNX Runtime, ${device}) stopped: ${messageOf(cause)}. Reinstall with npm ci, or try --device cpu.`,
      { device },
      { cause },
    );
  // cuBLAS reads this when it is loaded. TF32 has 10 bits of mantissa, and masks must not depend on it.
  if (device === 'cuda') process.env.NVIDIA_TF32_OVERRIDE = '0';
  const state = newState();
  const { port, ended: threadEnded } = await startThread({ ...settings, state }).catch((error) => {
    throw stopped(error);
  });
  const pending = new Map<number, { graph: string; resolve(done: Lent): void; reject(error: unknown): void }>();
  let calls = 0;
  let dead: unknown;
  const ended = threadEnded.then((why) => {
    port.close();
    dead ??= stopped(why);
    for (const call of pending.values()) call.reject(dead);
    pending.clear();
  });

  const version = await new Promise<string>((resolve, reject) => {
    void ended.then(() => reject(dead));
    port.on('message', (reply: Reply) => {
      if (reply.kind === 'ready') return resolve(reply.version);
      if (reply.kind === 'unready') {
        dead = engineError(reply.message, 'a first graph', device);
        port.postMessage({ kind: 'stop', call: -1 } satisfies Request);
        return reject(dead);
      }
      const call = pending.get(reply.call);
      if (!call) return; // it was rejected already, when the thread failed
      pending.delete(reply.call);
      if (reply.kind === 'done') call.resolve(reply);
      else call.reject(engineError(reply.message, call.graph, device));
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
          port.postMessage({ ...request, call }, transfer);
        } catch (error) {
          pending.delete(call);
          reject(error);
        }
      }),
    stop: async () => {
      dead ??= new InternalError('E_INTERNAL_ENGINE', 'The engine was used after it was closed.');
      Atomics.store(state, WORKER_STATE.stopping, 1);
      port.postMessage({ kind: 'stop', call: -1 } satisfies Request);
      await ended; // this rejects the calls still in flight
    },
  };
}

const CUDA_NEEDS =
  'It needs Linux on x64, an NVIDIA GPU, CUDA 12, cuDNN 9, and ONNX Runtime’s CUDA libraries: ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node (docs/lab/gpu.md).';

function engineError(message: string, graph: string, device: Device): Error {
  const facts = { graph, device, engine: message };
  if (/bad_alloc|failed to allocate|out of memory/i.test(message)) {
    return new ResourceError(
      'E_RESOURCE_MEMORY',
      `Not enough memory to run ${graph} on ${device}; use a shorter --sequence-length or fewer --threads.`,
      facts,
    );
  }
  if (device !== 'cpu' && /adapter|webgpu|device|shared library|cuda|cudnn|cublas/i.test(message)) {
    const reason = /Failed to .*/.exec(message)?.[0] ?? message; // without the engine's own source paths
    const text = `The ${device} device failed: ${reason}.${device === 'cuda' ? ` ${CUDA_NEEDS}` : ''} Try --device cpu.`;
    return new ResourceError('E_RESOURCE_DEVICE', text, facts);
  }
  return new InternalError('E_INTERNAL_ENGINE', `The engine refused ${graph} on ${device}: ${message}`, facts);
}
