// The backend of WebGPU: weights are uploaded once, as they lie in the file; a step is one command buffer. The device has
// everything but the numbers of a step's tokens, which go up before it, and the logits that are asked for, which come down; in greedy
// writing (write.ts) neither moves.

import { ResourceError } from '../../base/portable.js';
import { type Gpu, type GpuBuffer, KERNEL_DATA, READ_BACK, USAGE } from '../../gpu/portable.js';
import { ropeTables } from '../../model/portable.js';
import type { DecodeBackend, DecodeSession, Limits, StepRows, Weights } from '../backend.js';
import type { Program } from '../program.js';
import { type Buffers, createSubmitters, parametersOf } from './encoder.js';
import { type Placement, place } from './placement.js';
import { planDispatches, planLikeliest } from './plan.js';
import { createWriter } from './write.js';

/** `open` opens the device of each session. With `fused` false, to compare, every operation has a dispatch of its own. */
export const createWebgpuBackend = (open: () => Promise<Gpu>, fused = true): DecodeBackend => ({
  name: 'webgpu',
  open: async (program, weights, limits) => {
    const gpu = await open();
    try {
      return await openSession(gpu, program, weights, limits, fused);
    } catch (error) {
      gpu.close();
      throw error;
    }
  },
});

async function openSession(
  gpu: Gpu,
  program: Program,
  weights: Weights,
  limits: Limits,
  fused: boolean,
): Promise<DecodeSession> {
  const placement = place(program, weights, limits, gpu.largestBuffer);
  const memory = gpu.device.limits.maxComputeWorkgroupStorageSize;
  const options = { threads: gpu.workgroup, rowThreads: gpu.rowWorkgroup, memory, fused };
  const dispatches = planDispatches(program, placement, limits, options);
  const lists = [dispatches, [...dispatches, ...planLikeliest(program, placement, options)]];
  const parameters = parametersOf(lists);
  const buffers = await allocate(gpu, placement, parameters.byteLength);
  const { arena } = buffers;
  const logits = await gpu.allocate(4 * limits.picked * program.vocabulary, READ_BACK, 'logits');
  await upload(gpu, program, placement, limits, weights, buffers);
  gpu.device.queue.writeBuffer(buffers.parameters, 0, parameters);
  await gpu.finish();
  const [steps, writes] = await createSubmitters(gpu, lists, buffers);
  const put = (rows: StepRows): void =>
    gpu.device.queue.writeBuffer(arena, 4 * placement.step.at, stepData(program, placement, rows));
  return {
    threads: 1,
    dispatches: dispatches.length,
    step: async (rows) => {
      const counts = { tokens: rows.tokens.length, picked: rows.picks.length };
      await steps!.prepare(counts);
      put(rows);
      const bytes = 4 * rows.picks.length * program.vocabulary;
      const from = 4 * placement.buffers[program.logits.buffer]!;
      const submitted = steps!.submit(counts, bytes > 0 ? { from, to: logits, bytes } : undefined);
      const [numbers] = await Promise.all([bytes > 0 ? gpu.read(logits, bytes) : gpu.finish(), submitted]);
      return new Float32Array(numbers ?? new ArrayBuffer(0));
    },
    write: await createWriter(gpu, limits, placement, writes!, put),
    fork: async (from, to, positions) => {
      if (positions === 0) return;
      const rows = program.widths.map(({ kvHeads }) => 4 * kvHeads * program.headDim);
      // A buffer cannot be copied into itself: keys or values of a block pass through this one.
      const passing = await gpu.allocate(positions * Math.max(...rows), KERNEL_DATA, 'a sequence');
      try {
        const encoder = gpu.device.createCommandEncoder();
        for (const [block, cache] of buffers.caches.entries()) {
          const room = limits.positions * rows[block]!;
          const bytes = positions * rows[block]!;
          for (const base of [0, limits.sequences * room]) {
            encoder.copyBufferToBuffer(cache, base + from * room, passing, 0, bytes);
            encoder.copyBufferToBuffer(passing, 0, cache, base + to * room, bytes);
          }
        }
        await gpu.checked(() => gpu.device.queue.submit([encoder.finish()]));
        await gpu.finish();
      } finally {
        passing.destroy();
      }
    },
    measureBandwidth: () => measureBandwidth(gpu, buffers.shards),
    close: async () => gpu.close(),
  };
}

async function allocate(
  gpu: Gpu,
  { shards, arenaBytes, cacheBytes }: Placement,
  parameterBytes: number,
): Promise<Buffers> {
  const all = async (sizes: readonly number[], what: string): Promise<GpuBuffer[]> => {
    const made: GpuBuffer[] = [];
    for (const bytes of sizes) made.push(await gpu.allocate(bytes, KERNEL_DATA, what));
    return made;
  };
  return {
    shards: await all(shards, 'weights'),
    caches: await all(cacheBytes, 'keys and values'),
    arena: await gpu.allocate(arenaBytes, KERNEL_DATA, 'activations'),
    parameters: await gpu.allocate(parameterBytes, USAGE.uniform | USAGE.copyTo, 'parameters'),
  };
}

/** Weights, vectors and rotary tables. Rotations that depend on a length use the longest (wasm/placement.ts). */
async function upload(
  { device }: Gpu,
  program: Program,
  placement: Placement,
  { positions }: Limits,
  weights: Weights,
  { shards, arena }: Buffers,
): Promise<void> {
  const bytes = reserve(weights.weightBytes);
  await weights.readWeightsInto(bytes);
  for (const { shard, parts, offset, bytes: size } of placement.tensors.values()) {
    device.queue.writeBuffer(shards[shard]!, 4 * parts[0]!, bytes.buffer, offset, size);
  }
  for (const [name, { at, offset, count }] of placement.vectors) {
    const vector = new Float32Array(bytes.buffer, offset, count).slice();
    if (program.storedMinusOne.includes(name)) for (let i = 0; i < count; i++) vector[i]! += 1;
    device.queue.writeBuffer(arena, 4 * at, vector.buffer);
  }
  for (const [i, rope] of program.ropes.entries()) {
    const { cos, sin } = ropeTables(rope, positions);
    device.queue.writeBuffer(arena, 4 * placement.ropes[i]!.cos, cos.buffer, cos.byteOffset, cos.byteLength);
    device.queue.writeBuffer(arena, 4 * placement.ropes[i]!.sin, sin.buffer, sin.byteOffset, sin.byteLength);
  }
}

/** Memory for the weights while they are uploaded. @throws ResourceError E_RESOURCE_MEMORY */
function reserve(bytes: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    const message = `weights: this machine has no room for ${bytes} bytes, through which they go to the GPU. Free memory, or pack the model smaller.`;
    throw new ResourceError('E_RESOURCE_MEMORY', message, { bytes }, { cause });
  }
}

function stepData({ positionOffset }: Program, { step }: Placement, rows: StepRows): ArrayBuffer {
  const words = new Int32Array(step.end - step.at);
  const put = (at: number, numbers: readonly number[]): void => words.set(numbers, at - step.at);
  put(step.at, [rows.tokens.length, rows.picks.length]);
  put(step.ids, rows.tokens);
  put(step.positions, rows.positions);
  put(
    step.places,
    rows.positions.map((position) => position + positionOffset),
  );
  for (const { sequence, from, count } of rows.runs)
    words.fill(sequence, step.sequences + from, step.sequences + from + count);
  put(step.picks, rows.picks);
  return words.buffer;
}

/** The fastest of this many copies counts. */
const COPIES = 4;

/** The weights copied to another buffer, at most the first shard: bytes read a second, as the kernels could read them. */
async function measureBandwidth(gpu: Gpu, shards: readonly GpuBuffer[]): Promise<number> {
  const from = shards[0]!;
  const copy = await gpu.allocate(from.size, KERNEL_DATA, 'a copy of the weights');
  try {
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < COPIES; i++) {
      const encoder = gpu.device.createCommandEncoder();
      encoder.copyBufferToBuffer(from, 0, copy, 0, from.size);
      const began = performance.now();
      gpu.device.queue.submit([encoder.finish()]);
      await gpu.finish();
      best = Math.min(best, performance.now() - began);
    }
    // A copy reads and writes.
    return (2 * from.size) / (best / 1000);
  } finally {
    copy.destroy();
  }
}
