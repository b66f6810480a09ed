// A process of its own for the WebGPU provider: the driver is found through environment variables that must be set before
// a process begins, and a driver that crashes takes only this process along. Spoken to by webgpu.ts through gpu-process.ts.

import { createOrtEngine } from '../../dist/engine/index.js';

const engine = await createOrtEngine({ device: 'webgpu', workers: 1, threads: 1 }).catch((error) => {
  process.send({ failure: { code: error.code, message: error.message } }, () => process.exit());
});
const sessions = new Map();

const acts = {
  load: async ({ session, graph }) => void sessions.set(session, await engine.load(graph)),
  run: ({ session, inputs }) => sessions.get(session).run(inputs),
  release: ({ session }) => sessions.get(session).release(),
};

process.on('message', async (request) => {
  try {
    process.send({ id: request.id, result: await acts[request.kind](request) });
  } catch (error) {
    process.send({ id: request.id, failure: { code: error.code, message: error.message } });
  }
});
process.on('disconnect', () => engine.close().finally(() => process.exit()));
if (engine) process.send({ ready: engine.name });
