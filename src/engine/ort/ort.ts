// The dense engine: ONNX Runtime in worker threads. A small model is fastest with several single-threaded lanes side by
// side, a large one with one lane of several threads (and then holds its weights once); `lanes × threads` never exceeds
// the threads asked for. Results do not depend on the number of lanes: each run is one lane's, whole.

import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { InternalError, ResourceError } from '../../base/index.js';
import { type Graph, serialiseOnnx } from '../../graph/index.js';
import type { Device, Engine, HostTensor, Session } from '../engine.js';
import { checkFiles, checkInputs } from '../graph-inputs.js';
import type { Reply, Request, WorkerSettings } from './messages.js';

export type OrtOptions = {
  readonly device: Device;
  /** Worker threads that each hold every loaded session. */
  readonly lanes: number;
  /** Threads inside one run. */
  readonly threads: number;
};

/**
 * Starts the engine's workers.
 * @throws ResourceError E_RESOURCE_ENGINE where ONNX Runtime cannot be loaded, E_RESOURCE_DEVICE where `device` is not there
 */
export async function createOrtEngine({ device, lanes, threads }: OrtOptions): Promise<Engine> {
  const started = await Promise.allSettled(Array.from({ length: lanes }, () => startLane({ device, threads })));
  const all = started.flatMap((lane) => (lane.status === 'fulfilled' ? [lane.value] : []));
  const failed = started.find((lane) => lane.status === 'rejected');
  if (failed) {
    await Promise.all(all.map((lane) => lane.stop()));
    throw failed.reason;
  }
  const idle = [...all];
  const waiting: ((lane: Lane) => void)[] = [];
  const take = async (): Promise<Lane> => idle.pop() ?? (await new Promise((resolve) => waiting.push(resolve)));
  const give = (lane: Lane): void => {
    const next = waiting.shift();
    if (next) next(lane);
    else idle.push(lane);
  };
  let sessions = 0;

  const load = async (graph: Graph): Promise<Session> => {
    await checkFiles(graph);
    const session = sessions++;
    const model = serialiseOnnx(graph);
    const release = async (): Promise<void> => {
      await Promise.all(all.map((lane) => lane.call({ kind: 'release', session }, graph.name)));
    };
    const loads = all.map((lane) => lane.call({ kind: 'load', session, model, folder: graph.folder }, graph.name));
    const failed = (await Promise.allSettled(loads)).find((result) => result.status === 'rejected');
    if (failed) {
      await release().catch(() => {}); // the lanes that did load it; the failure itself is what matters
      throw failed.reason;
    }
    return {
      run: async (inputs, transfer = false) => {
        checkInputs(graph, inputs);
        const lane = await take();
        try {
          const own = Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, whole(tensor)]));
          return await lane.call({ kind: 'run', session, inputs: own }, graph.name, transfer ? buffersOf(own) : []);
        } finally {
          give(lane);
        }
      },
      release,
    };
  };
  const close = async (): Promise<void> => {
    await Promise.all(all.map((lane) => lane.stop()));
  };
  return { name: `onnxruntime-node ${all[0]!.version}`, device, lanes, load, close };
}

/** A tensor that is alone in its buffer: a message to another thread carries the whole buffer of a view. */
function whole(tensor: HostTensor): HostTensor {
  if (tensor.data.byteLength === tensor.data.buffer.byteLength) return tensor;
  return tensor.type === 'f32' ? { ...tensor, data: tensor.data.slice() } : { ...tensor, data: tensor.data.slice() };
}

const buffersOf = (inputs: Readonly<Record<string, HostTensor>>): ArrayBuffer[] => [
  ...new Set(Object.values(inputs).map((tensor) => tensor.data.buffer as ArrayBuffer)),
];

type Unnumbered<T> = T extends unknown ? Omit<T, 'call'> : never;
type Outputs = Record<string, HostTensor>;
type Lane = {
  readonly version: string;
  call(request: Unnumbered<Request>, graph: string, transfer?: ArrayBuffer[]): Promise<Outputs>;
  stop(): Promise<void>;
};

async function startLane(settings: WorkerSettings): Promise<Lane> {
  const worker = new Worker(createRequire(import.meta.url).resolve('#engine-worker'), { workerData: settings });
  const pending = new Map<number, { graph: string; resolve(outputs: Outputs): void; reject(error: unknown): void }>();
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
      const call = pending.get(reply.call)!;
      pending.delete(reply.call);
      if (reply.kind === 'done') call.resolve(reply.outputs);
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
      await worker.terminate(); // its exit rejects the calls that were still under way
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
