// Checkpoints whose linears are on grids, with layerwise.scales beside them.

import { join } from 'node:path';
import { createRng } from '../../src/base/index.js';
import { writeSafetensors } from '../../src/checkpoint/index.js';
import { type DType, fromFloat32, nearestHalf } from '../../src/tensor/index.js';
import { makeTiny } from '../api/make.js';

export type OnGrid = {
  readonly bits: number;
  readonly group: number;
  readonly q: Int8Array;
  readonly scales: Float32Array;
};

/** The grid of a linear: random integers, a third of them zeros, and signed scales. */
function drawGrid(seed: number, count: number, columns: number, bits: number, group: number): OnGrid {
  const rng = createRng(seed);
  const half = 2 ** (bits - 1);
  // The grid of 8 bits ends at −127.
  const low = bits === 8 ? 1 - half : -half;
  const q = Int8Array.from({ length: count }, () =>
    rng.uniform() < 1 / 3 ? 0 : low + Math.floor(rng.uniform() * (half - low)),
  );
  const groups = Math.ceil(columns / group);
  const scales = Float32Array.from({ length: (count / columns) * groups }, () =>
    nearestHalf((rng.uniform() + 0.5) * (rng.uniform() < 0.5 ? -0.02 : 0.02)),
  );
  return { bits, group, q, scales };
}

export const valueAt = ({ q, scales, group }: OnGrid, columns: number, i: number): number => {
  const groups = Math.ceil(columns / group);
  return Math.fround(q[i]! * scales[Math.floor(i / columns) * groups + Math.floor((i % columns) / group)]!);
};

/** A tiny model whose linears `choose` puts on grids; returns the grids by the name of the weight. */
export async function makeQuantised(
  dir: string,
  dtype: 'F32' | 'F16' | 'BF16',
  choose: (name: string) => { readonly bits: number; readonly group: number } | undefined,
): Promise<ReadonlyMap<string, OnGrid>> {
  const grids = new Map<string, OnGrid>();
  await makeTiny(dir, {
    blocks: 1,
    dtype,
    change: (name, values) => {
      const chosen = name.includes('_proj') ? choose(name) : undefined;
      if (!chosen) return;
      const columns = name.includes('down_proj') ? 48 : 32;
      const group = Math.min(chosen.group, columns);
      const grid = drawGrid(grids.size + 1, values.length, columns, chosen.bits, group);
      grids.set(name, grid);
      for (let i = 0; i < values.length; i++) values[i] = valueAt(grid, columns, i);
    },
  });
  await writeScales(dir, grids);
  return grids;
}

export async function writeScales(dir: string, grids: ReadonlyMap<string, OnGrid>): Promise<void> {
  const tensors = [...grids].map(([name, { scales, q, bits, group }]) => {
    const columns = name.includes('down_proj') ? 48 : 32;
    const dtype: DType = bits === 8 ? 'F32' : 'F16';
    const shape = [q.length / columns, Math.ceil(columns / group)];
    return { name, dtype, shape, read: async () => fromFloat32(scales, dtype) };
  });
  const bits = JSON.stringify(Object.fromEntries([...grids].map(([name, grid]) => [name, grid.bits])));
  await writeSafetensors(join(dir, 'layerwise.scales'), tensors, { format: 'layerwise-scales 1', bits });
}
