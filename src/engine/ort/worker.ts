// The worker thread that runs ONNX Runtime, whose `run()` blocks its thread. Tensors are transferred to it and back,
// not copied.

import { workerData } from 'node:worker_threads';
import * as ort from 'onnxruntime-node';
import { messageOf } from '../../base/index.js';
import type { Device, HostTensor, Lent } from '../engine.js';
import { type Reply, type Request, WORKER_STATE, type WorkerData } from './messages.js';
import { smallestModel } from './smallest-model.js';

const settings = workerData as WorkerData;
const { port } = settings;
const sessions = new Map<number, ort.InferenceSession>();

const reply = (message: Reply, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);

const NOTHING: Lent = { inputs: {}, outputs: {} };

/** Behind a GPU stands the processor, for operations on shapes. */
const PROVIDERS = {
  cpu: ['cpu'],
  webgpu: ['webgpu', 'cpu'],
  cuda: [{ name: 'cuda', deviceId: 0 }, 'cpu'],
} as const satisfies Readonly<Record<Device, ort.InferenceSession.SessionOptions['executionProviders']>>;

const bufferOf = (tensor: HostTensor): ArrayBuffer => tensor.data.buffer as ArrayBuffer;

async function load(request: Request & { kind: 'load' }): Promise<void> {
  const folder = request.folder;
  const session = await ort.InferenceSession.create(request.model, {
    executionProviders: PROVIDERS[settings.device],
    intraOpNumThreads: settings.threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    enableCpuMemArena: false,
    logSeverityLevel: 3,
    ...(folder === undefined ? {} : { extra: { session: { model_external_initializers_file_folder_path: folder } } }),
  });
  sessions.set(request.session, session);
}

async function run(request: Request & { kind: 'run' }): Promise<Record<string, HostTensor>> {
  const feeds: Record<string, ort.Tensor> = {};
  for (const [name, { type, data, shape }] of Object.entries(request.inputs)) {
    feeds[name] = new ort.Tensor(type === 'f32' ? 'float32' : 'int64', data, shape);
  }
  const session = sessions.get(request.session);
  if (!session) throw new Error('the graph was run after it was released');
  const results = await session.run(feeds);
  const outputs: Record<string, HostTensor> = {};
  for (const [name, tensor] of Object.entries(results)) {
    const data = (await tensor.getData()) as Float32Array;
    outputs[name] = { type: 'f32', shape: tensor.dims, data };
  }
  return outputs;
}

/** Runs `work`, unless the worker is stopping. Counts it as a call, so that the worker is not ended meanwhile. */
async function counted<T>(work: () => Promise<T>): Promise<T> {
  Atomics.add(settings.state, WORKER_STATE.busy, 1);
  try {
    if (Atomics.load(settings.state, WORKER_STATE.stopping) === 1) throw new Error('the engine was closed');
    return await work();
  } finally {
    Atomics.sub(settings.state, WORKER_STATE.busy, 1);
    Atomics.notify(settings.state, WORKER_STATE.busy);
  }
}

async function answer(request: Exclude<Request, { kind: 'stop' }>): Promise<Lent> {
  switch (request.kind) {
    case 'load':
      await load(request);
      return NOTHING;
    case 'run':
      return { outputs: await run(request), inputs: request.lent ? request.inputs : {} };
    case 'release':
      await sessions.get(request.session)?.release();
      sessions.delete(request.session);
      return NOTHING;
    default:
      return request satisfies never;
  }
}

port.on('message', async (request: Request) => {
  if (request.kind === 'stop') process.exit(); // ends this thread only
  try {
    const done = await counted(() => answer(request));
    const buffers = [done.outputs, done.inputs].flatMap((tensors) => Object.values(tensors).map(bufferOf));
    reply({ kind: 'done', call: request.call, ...done }, buffers);
  } catch (error) {
    reply({ kind: 'failed', call: request.call, message: messageOf(error) });
  }
});

/**
 * Keeps one session open. A GPU's device and compiled shaders live as long as any session does, and a block's session
 * is released before the next one loads. It also shows before any work starts whether there is a GPU.
 */
async function holdDevice(): Promise<void> {
  await load({ kind: 'load', call: -1, session: -1, model: smallestModel(), folder: undefined });
}

try {
  if (settings.device !== 'cpu') await counted(holdDevice);
  reply({ kind: 'ready', version: ort.env.versions.node ?? ort.env.versions.common });
} catch (error) {
  reply({ kind: 'unready', message: messageOf(error) });
}
Atomics.sub(settings.state, WORKER_STATE.busy, 1); // the start itself, counted by newState
Atomics.notify(settings.state, WORKER_STATE.busy);
