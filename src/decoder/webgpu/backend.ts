// The backend of WebGPU: weights are uploaded once, as they lie in the file; a step is one command buffer. The device has
// everything but the numbers of a step's tokens, which go up before it, and the logits that are asked for, which come down.

import { ResourceError } from '../../base/portable.js';
import {
  type Gpu,
  type GpuBindGroup,
  type GpuBuffer,
  type GpuPipeline,
  KERNEL_DATA,
  type Kernel,
  kernelLayout,
  PARAMETER_BYTES,
  parameterWords,
  READ_BACK,
  TOKEN_TILES,
  USAGE,
} from '../../gpu/portable.js';
import { ropeTables } from '../../model/portable.js';
import type { DecodeBackend, DecodeSession, Limits, StepRows, Weights } from '../backend.js';
import type { Program } from '../program.js';
import { type Placement, place } from './placement.js';
import { type Dispatch, planDispatches } from './plan.js';

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

type Buffers = {
  readonly shards: readonly GpuBuffer[];
  readonly caches: readonly GpuBuffer[];
  readonly arena: GpuBuffer;
  readonly parameters: GpuBuffer;
  readonly logits: GpuBuffer;
};

async function openSession(
  gpu: Gpu,
  program: Program,
  weights: Weights,
  limits: Limits,
  fused: boolean,
): Promise<DecodeSession> {
  const placement = place(program, weights, limits, gpu.largestBuffer);
  const dispatches = planDispatches(program, placement, limits, {
    threads: gpu.workgroup,
    rowThreads: gpu.rowWorkgroup,
    fused,
  });
  const buffers = await allocate(gpu, program, placement, limits, dispatches.length);
  await upload(gpu, program, placement, limits, weights, buffers);
  gpu.device.queue.writeBuffer(buffers.parameters, 0, parametersOf(dispatches));
  await gpu.finish();
  const encode = await createEncoder(gpu, dispatches, buffers);
  const { vocabulary } = program;
  const { arena, logits } = buffers;
  return {
    threads: 1,
    dispatches: dispatches.length,
    step: async (rows) => {
      gpu.device.queue.writeBuffer(arena, 4 * placement.step.at, stepData(program, placement, rows));
      const bytes = 4 * rows.picks.length * vocabulary;
      const { submitted } = await encode(rows, 4 * placement.buffers[program.logits.buffer]!, bytes);
      const [numbers] = await Promise.all([bytes > 0 ? gpu.read(logits, bytes) : gpu.finish(), submitted]);
      return new Float32Array(numbers ?? new ArrayBuffer(0));
    },
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
  program: Program,
  { shards, arenaBytes, cacheBytes }: Placement,
  { picked }: Limits,
  count: number,
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
    parameters: await gpu.allocate(count * PARAMETER_BYTES, USAGE.uniform | USAGE.copyTo, 'parameters'),
    logits: await gpu.allocate(4 * picked * program.vocabulary, READ_BACK, 'logits'),
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

function parametersOf(dispatches: readonly Dispatch[]): ArrayBuffer {
  const words = new Uint32Array((dispatches.length * PARAMETER_BYTES) / 4);
  for (const [i, { parameters }] of dispatches.entries()) {
    words.set(parameterWords(parameters), (i * PARAMETER_BYTES) / 4);
  }
  return words.buffer;
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

/** Which of a dispatch's kernels: the smallest tile that has room for so many rows, or the largest. */
const tileOf = ({ y }: Dispatch, rows: number): number => {
  if (y !== 'tiles') return 0;
  const found = TOKEN_TILES.findIndex((tile) => tile >= rows);
  return found < 0 ? TOKEN_TILES.length - 1 : found;
};

/** `submitted` is what the device says of the commands, which nothing waits for before it reads the result. */
type Encode = (rows: StepRows, logitsAt: number, logitBytes: number) => Promise<{ readonly submitted: Promise<void> }>;

/** Submits a step: all dispatches in one pass, then the copy of its logits. Pipelines are made when first needed. */
async function createEncoder(gpu: Gpu, dispatches: readonly Dispatch[], buffers: Buffers): Promise<Encode> {
  const { device } = gpu;
  const layout = kernelLayout(device, true);
  const groups = new Map<string, GpuBindGroup>();
  const groupOf = ({ shard, block }: Dispatch): GpuBindGroup => {
    const key = `${shard} ${block}`;
    const known = groups.get(key);
    if (known) return known;
    const resources = [
      { buffer: buffers.shards[shard]! },
      { buffer: buffers.arena },
      { buffer: buffers.caches[block]! },
      { buffer: buffers.parameters, size: PARAMETER_BYTES },
    ];
    const entries = resources.map((resource, i) => ({ binding: i, resource }));
    const group = device.createBindGroup({ layout: layout.group, entries });
    groups.set(key, group);
    return group;
  };
  const bound = await gpu.checked(() =>
    dispatches.map((one, i) => ({ ...one, group: groupOf(one), offset: i * PARAMETER_BYTES })),
  );

  const pipelines = new Map<string, GpuPipeline>();
  const prepare = async (kernels: Iterable<Kernel>): Promise<void> => {
    await gpu.checked(async () => {
      const made = [...kernels].map(async ({ key, code }) => {
        const module = device.createShaderModule({ code: code(), label: key });
        const compute = { module, entryPoint: 'main' };
        const pipeline = await device.createComputePipelineAsync({ label: key, layout: layout.pipeline, compute });
        return [key, pipeline] as const;
      });
      for (const [key, pipeline] of await Promise.all(made)) pipelines.set(key, pipeline);
    });
  };

  return async ({ tokens, picks }, logitsAt, logitBytes) => {
    const rowsOf = ({ space, perToken }: Dispatch): number =>
      (space === 'tokens' ? tokens.length : picks.length) * perToken;
    const missing = new Map<string, Kernel>();
    for (const one of bound) {
      const rows = rowsOf(one);
      const kernel = one.kernels[tileOf(one, rows)]!;
      if (rows > 0 && !pipelines.has(kernel.key)) missing.set(kernel.key, kernel);
    }
    if (missing.size > 0) await prepare(missing.values());
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const one of bound) {
      const rows = rowsOf(one);
      if (rows === 0) continue;
      const tile = tileOf(one, rows);
      pass.setPipeline(pipelines.get(one.kernels[tile]!.key)!);
      pass.setBindGroup(0, one.group, [one.offset]);
      pass.dispatchWorkgroups(
        one.x,
        one.y === 'one' ? 1 : one.y === 'rows' ? rows : Math.ceil(rows / TOKEN_TILES[tile]!),
      );
    }
    pass.end();
    if (logitBytes > 0) encoder.copyBufferToBuffer(buffers.arena, logitsAt, buffers.logits, 0, logitBytes);
    return { submitted: gpu.checked(() => device.queue.submit([encoder.finish()])) };
  };
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
