// Submits dispatches: all of a step in one pass, then copies of what comes down. Bind groups are made once, pipelines when they
// are first needed.

import {
  type Gpu,
  type GpuBindGroup,
  type GpuBuffer,
  type GpuPipeline,
  type Kernel,
  kernelLayout,
  PARAMETER_BYTES,
  parameterWords,
} from '../../gpu/portable.js';
import type { Dispatch, Tile } from './plan.js';

export type Buffers = {
  readonly shards: readonly GpuBuffer[];
  readonly caches: readonly GpuBuffer[];
  readonly arena: GpuBuffer;
  readonly parameters: GpuBuffer;
};

/** Rows of a step, and how many of them are picked. */
export type Counts = { readonly tokens: number; readonly picked: number };

/** Bytes of the arena that go to the begin of a buffer after the pass. */
export type Copy = { readonly from: number; readonly to: GpuBuffer; readonly bytes: number };

/** A list of dispatches, ready for steps of any number of rows. */
export interface Submitter {
  /** Makes the pipelines of steps of so many rows. */
  prepare(counts: Counts): Promise<void>;
  /** For steps that are prepared. Resolves when the device has accepted the commands, which nobody need wait for. */
  submit(counts: Counts, copy: Copy | undefined): Promise<void>;
}

/** Of a dispatch's tiles the largest that so many rows fill by more than half. */
const tileOf = ({ tiles }: Dispatch, rows: number): Tile =>
  tiles.findLast(({ tokens }) => rows > tokens / 2) ?? tiles[0];

/** Submitters of some lists, whose parameters lie one list after another. */
export async function createSubmitters(
  gpu: Gpu,
  lists: readonly (readonly Dispatch[])[],
  buffers: Buffers,
): Promise<readonly Submitter[]> {
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
  let end = 0;
  const bound = await gpu.checked(() =>
    lists.map((list) => list.map((one) => ({ ...one, group: groupOf(one), offset: PARAMETER_BYTES * end++ }))),
  );

  const pipelines = new Map<string, GpuPipeline>();
  const make = async ({ key, code }: Kernel): Promise<void> => {
    const module = device.createShaderModule({ code: code(), label: key });
    const compute = { module, entryPoint: 'main' };
    pipelines.set(key, await device.createComputePipelineAsync({ label: key, layout: layout.pipeline, compute }));
  };

  return bound.map((dispatches) => {
    const rowsOf = ({ space, perToken }: Dispatch, { tokens, picked }: Counts): number =>
      (space === 'tokens' ? tokens : picked) * perToken;
    return {
      prepare: async (counts) => {
        const missing = new Map<string, Kernel>();
        for (const one of dispatches) {
          const rows = rowsOf(one, counts);
          const { kernel } = tileOf(one, rows);
          if (rows > 0 && !pipelines.has(kernel.key)) missing.set(kernel.key, kernel);
        }
        if (missing.size > 0) await gpu.checked(() => Promise.all([...missing.values()].map(make)));
      },
      submit: async (counts, copy) => {
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        for (const one of dispatches) {
          const rows = rowsOf(one, counts);
          if (rows === 0) continue;
          const { kernel, tokens, x } = tileOf(one, rows);
          pass.setPipeline(pipelines.get(kernel.key)!);
          pass.setBindGroup(0, one.group, [one.offset]);
          pass.dispatchWorkgroups(x, one.whole ? 1 : Math.ceil(rows / tokens));
        }
        pass.end();
        if (copy) encoder.copyBufferToBuffer(buffers.arena, copy.from, copy.to, 0, copy.bytes);
        await gpu.checked(() => device.queue.submit([encoder.finish()]));
      },
    };
  });
}

/** What the buffer of parameters holds. */
export function parametersOf(lists: readonly (readonly Dispatch[])[]): ArrayBuffer {
  const dispatches = lists.flat();
  const words = new Uint32Array((dispatches.length * PARAMETER_BYTES) / 4);
  for (const [i, { parameters }] of dispatches.entries()) {
    words.set(parameterWords(parameters), (i * PARAMETER_BYTES) / 4);
  }
  return words.buffer;
}
