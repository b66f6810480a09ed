// A process with a GPU for tests: its own, because the software adapter is found through variables that a process must
// start with. Requests come by IPC, one after another: kernels, and sessions of the decoder's backend.

import { createWebgpuBackend } from '../../dist/decoder/webgpu/backend.js';
import { openGpuInNode } from '../../dist/gpu/index.js';
import * as api from '../../dist/gpu/portable.js';
import { runKernel } from './run-kernel.mjs';

const sessions = [];
const writers = [];
let gpu;

/** What a request of each kind does. */
const HANDLERS = {
  kernel: async ({ call }) => await runKernel(api, gpu, call),
  open: async ({ program, tensors, weights, limits, largestBuffer, fused }) => {
    const source = {
      tensors,
      weightBytes: weights.length,
      readWeightsInto: async (target) => target.set(weights),
    };
    const own = await openGpuInNode();
    const limited = largestBuffer === undefined ? own : { ...own, largestBuffer };
    const backend = createWebgpuBackend(async () => limited, fused);
    sessions.push({ gpu: own, session: await backend.open(program, source, limits) });
    return sessions.length - 1;
  },
  step: async ({ session, rows }) => await sessions[session].session.step(rows),
  write: async ({ session, rows, count }) => writers.push(sessions[session].session.write(rows, count)) - 1,
  next: async ({ writer }) => await writers[writer].next(),
  return: async ({ writer }) => await writers[writer].return(),
  fork: async ({ session, from, to, positions }) => await sessions[session].session.fork(from, to, positions),
  bandwidth: async ({ session }) => await sessions[session].session.measureBandwidth(),
  lose: async ({ session }) => sessions[session].gpu.device.destroy(),
  close: async ({ session }) => await sessions[session].session.close(),
};

const tell = (error) => ({ name: error.name, code: error.code, message: error.message });
try {
  gpu = await openGpuInNode();
  process.send({ ready: gpu.name });
} catch (error) {
  process.send({ failure: tell(error) });
}

let last = Promise.resolve();
process.on('message', (request) => {
  last = last.then(async () => {
    try {
      process.send({ id: request.id, result: await HANDLERS[request.kind](request) });
    } catch (error) {
      process.send({ id: request.id, failure: tell(error) });
    }
  });
});
process.on('disconnect', () => process.exit(0));
