// The thread that starts the workers (spawner.ts says why). It creates the first session of the process, and keeps it.

import { parentPort, Worker, workerData } from 'node:worker_threads';
import * as ort from 'onnxruntime-node';
import { messageOf } from '../../base/index.js';
import { type SpawnerReply, type SpawnerSettings, type SpawnRequest, WORKER_STATE } from './messages.js';
import { smallestModel } from './smallest-model.js';

const port = parentPort!;
const { state, file } = workerData as SpawnerSettings;
const reply = (message: SpawnerReply): void => port.postMessage(message);

port.on('message', ({ id, settings, port: own }: SpawnRequest) => {
  const thread = new Worker(file, { workerData: { ...settings, port: own }, transferList: [own] });
  let why: string | undefined;
  thread.on('error', (error) => {
    why = messageOf(error);
  });
  thread.on('exit', (code) => reply({ kind: 'ended', id, why: why ?? `its thread ended with code ${code}` }));
});

try {
  await ort.InferenceSession.create(smallestModel(), {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    extra: { session: { set_denormal_as_zero: '1' } },
  });
  reply({ kind: 'ready' });
} catch (error) {
  reply({ kind: 'unready', message: messageOf(error) });
}
Atomics.sub(state, WORKER_STATE.busy, 1);
Atomics.notify(state, WORKER_STATE.busy);
