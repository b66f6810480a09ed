// A process with a GPU for tests: its own, because the software adapter is found through variables that a process must
// start with. Requests come by IPC, one after another: kernels, and sessions of the decoder's backend.

import { createWebgpuBackend } from '../../dist/decoder/webgpu/backend.js';
import { openGpuInNode } from '../../dist/gpu/index.js';
import * as api from '../../dist/gpu/portable.js';
import { runKernel } from './run-kernel.mjs';
import { MARKS, requireInside, watchKernel } from './watch.mjs';

const sessions = [];
const writers = [];
let gpu;

/** A GPU whose kernels are watched; `check` then says whether any of them was outside. */
function watch(gpu) {
  let arena;
  const device = new Proxy(gpu.device, {
    get(target, name) {
      if (name === 'createShaderModule') {
        return (of) => target.createShaderModule({ ...of, code: watchKernel(of.code) });
      }
      const value = target[name];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const allocate = async (bytes, usage, what) => {
    const own = what === 'activations';
    const buffer = await gpu.allocate(bytes + (own ? 4 * MARKS : 0), usage, what);
    if (own) arena = buffer;
    return buffer;
  };
  const check = async () => {
    const back = await gpu.allocate(4 * MARKS, api.READ_BACK, 'marks');
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(arena, arena.size - 4 * MARKS, back, 0, 4 * MARKS);
    gpu.device.queue.submit([encoder.finish()]);
    requireInside(new Uint32Array(await gpu.read(back, 4 * MARKS)));
  };
  return { watched: { ...gpu, device, allocate }, check };
}

/** What a request of each kind does. */
const HANDLERS = {
  kernel: async ({ call }) => {
    const arena = new Uint32Array(call.arena.length + MARKS);
    arena.set(call.arena);
    const after = await runKernel(api, gpu, { ...call, code: watchKernel(call.code), arena });
    requireInside(after.slice(-MARKS));
    return after.slice(0, -MARKS);
  },
  open: async ({ program, tensors, weights, limits, largestBuffer, fused, watched }) => {
    const source = {
      tensors,
      weightBytes: weights.length,
      readWeightsInto: async (target) => target.set(weights),
    };
    const own = await openGpuInNode();
    const seen = watched ? watch(own) : { watched: own };
    const limited = { ...seen.watched, ...(largestBuffer === undefined ? {} : { largestBuffer }) };
    const backend = createWebgpuBackend(async () => limited, fused);
    sessions.push({ gpu: own, session: await backend.open(program, source, limits), check: seen.check });
    return sessions.length - 1;
  },
  step: async ({ session, rows }) => await sessions[session].session.step(rows),
  write: async ({ session, rows, count }) => writers.push(sessions[session].session.write(rows, count)) - 1,
  next: async ({ writer }) => await writers[writer].next(),
  return: async ({ writer }) => await writers[writer].return(),
  fork: async ({ session, from, to, positions }) => await sessions[session].session.fork(from, to, positions),
  bandwidth: async ({ session }) => await sessions[session].session.measureBandwidth(),
  lose: async ({ session }) => sessions[session].gpu.device.destroy(),
  close: async ({ session }) => {
    await sessions[session].check?.();
    await sessions[session].session.close();
  },
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
