// The fast engine: ONNX Runtime in worker threads. A small model is fastest with several single-threaded workers; a
// large one with one worker of several threads, which holds the weights once. `workers × threads` never exceeds the
// threads asked for. Results do not depend on the number of workers, because each run happens in one of them.

import { type Graph, serialiseOnnx } from '../../graph/index.js';
import type { Device, Engine, HostTensor, Lent, Session } from '../engine.js';
import { checkFiles, checkInputs } from '../graph-inputs.js';
import { followLinks } from './links.js';
import { startWorker, type WorkerHandle } from './worker-handle.js';

type Tensors = Readonly<Record<string, HostTensor>>;

export type OrtOptions = {
  readonly device: Device;
  /** Worker threads; each holds every loaded session. */
  readonly workers: number;
  /** Threads inside one run. */
  readonly threads: number;
};

/** Calls sent to a worker at once: the one it runs, and the next one. */
const CALLS = 2;

/**
 * Starts the engine's workers.
 * @throws ResourceError E_RESOURCE_ENGINE where ONNX Runtime cannot be loaded, E_RESOURCE_DEVICE where there is no
 * `device`
 */
export async function createOrtEngine({ device, workers, threads }: OrtOptions): Promise<Engine> {
  const started = await Promise.allSettled(Array.from({ length: workers }, () => startWorker({ device, threads })));
  const all = started.flatMap((worker) => (worker.status === 'fulfilled' ? [worker.value] : []));
  const failed = started.find((worker) => worker.status === 'rejected');
  if (failed) {
    await Promise.all(all.map((worker) => worker.stop()));
    throw failed.reason;
  }
  const calls = new Map(all.map((worker) => [worker, 0]));
  const waiting: ((worker: WorkerHandle) => void)[] = [];
  const take = async (): Promise<WorkerHandle> => {
    const [worker, count] = [...calls].reduce((a, b) => (b[1] < a[1] ? b : a));
    if (count === CALLS) return await new Promise((resolve) => waiting.push(resolve));
    calls.set(worker, count + 1);
    return worker;
  };
  const give = (worker: WorkerHandle): void => {
    const next = waiting.shift();
    if (next) next(worker);
    else calls.set(worker, calls.get(worker)! - 1);
  };
  let sessions = 0;

  const load = async (asked: Graph): Promise<Session> => {
    await checkFiles(asked);
    const graph = await followLinks(asked);
    const session = sessions++;
    const model = serialiseOnnx(graph);
    const release = async (): Promise<void> => {
      await Promise.all(all.map((worker) => worker.call({ kind: 'release', session }, graph.name)));
    };
    const loads = all.map((worker) => worker.call({ kind: 'load', session, model, folder: graph.folder }, graph.name));
    const failed = (await Promise.allSettled(loads)).find((result) => result.status === 'rejected');
    if (failed) {
      await release().catch(() => {}); // on the workers that did load it; the first failure is the one to report
      throw failed.reason;
    }
    const run = async (inputs: Tensors, transfer: boolean, lent: boolean): Promise<Lent> => {
      const worker = await take();
      try {
        // Check this late: another call may have taken the same buffers in the meantime, and Node cannot send detached
        // ones.
        checkInputs(graph, inputs);
        const own = Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, whole(tensor)]));
        return await worker.call(
          { kind: 'run', session, inputs: own, lent },
          graph.name,
          transfer ? buffersOf(own) : [],
        );
      } finally {
        give(worker);
      }
    };
    return {
      run: async (inputs, transfer = false) => (await run(inputs, transfer, false)).outputs,
      lend: (inputs) => run(inputs, true, true),
      release,
    };
  };
  const close = async (): Promise<void> => {
    await Promise.all(all.map((worker) => worker.stop()));
  };
  return { name: `onnxruntime-node ${all[0]!.version}`, device, workers, concurrency: CALLS * workers, load, close };
}

/** A tensor that owns its buffer. Sending a view to another thread would send its whole buffer. */
function whole(tensor: HostTensor): HostTensor {
  if (tensor.data.byteLength === tensor.data.buffer.byteLength) return tensor;
  return tensor.type === 'f32' ? { ...tensor, data: tensor.data.slice() } : { ...tensor, data: tensor.data.slice() };
}

const buffersOf = (inputs: Readonly<Record<string, HostTensor>>): ArrayBuffer[] => [
  ...new Set(Object.values(inputs).map((tensor) => tensor.data.buffer as ArrayBuffer)),
];
