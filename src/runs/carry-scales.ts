// The scales of a checkpoint that is quantised already (layerwise.scales) when it is written again, by whatever command. One
// rule: a linear whose written weights still lie on its grid keeps its scales, under its new name; a linear that got a new
// grid has that; of all others the scales are left out, and a note says so, because packing will round them anew. Zeros are
// on every grid, so masks keep it, while a solver that moves weights leaves it.

import { CheckpointError, type OnProgress } from '../base/index.js';
import { readScales, type ScalesFile, writeScales } from '../checkpoint/index.js';
import { type Model, readLinear, weightName } from '../model/index.js';

type Written = Parameters<typeof writeScales>[1][number];

const weightsOf = (model: Model) =>
  model.linears.flat().map((linear) => ({ ...linear, name: weightName(linear), linear }));

/**
 * The grids of a checkpoint; undefined where it has none. Every weight is checked to be on its grid, before any work.
 * @throws CheckpointError E_CHECKPOINT_SCALES
 */
export async function openGrids(model: Model): Promise<ScalesFile | undefined> {
  const linears = weightsOf(model);
  const file = await readScales(model.checkpoint, linears);
  if (!file) return undefined;
  for (const { name, linear } of linears) {
    if (file.grids.has(name)) await file.read(name, await readLinear(model.checkpoint, linear), dtypeOf(model, name));
  }
  return file;
}

const dtypeOf = ({ checkpoint }: Model, name: string) => checkpoint.tensors.get(name)!.dtype;

/** How a checkpoint was written from another. */
export type Rewriting = {
  /** The grids of the source. */
  readonly grids: ScalesFile | undefined;
  readonly written: Model;
  /** The name that the source's weights have in the written checkpoint; undefined where they are gone. */
  readonly rename?: (name: string) => string | undefined;
  /** New grids, by the names in the written checkpoint. */
  readonly made?: readonly Written[];
  readonly onProgress: OnProgress;
};

/** Writes the scales of a checkpoint that was written from another. */
export async function carryScales({ grids, written, rename = (name) => name, made = [], onProgress }: Rewriting) {
  const linears = new Map(weightsOf(written).map((one) => [one.name, one]));
  const scales = new Map(made.map((one) => [one.name, one]));
  const left: string[] = [];
  for (const name of grids?.grids.keys() ?? []) {
    const now = rename(name);
    const found = now === undefined ? undefined : linears.get(now);
    if (!found || scales.has(found.name)) continue;
    const W = await readLinear(written.checkpoint, found.linear);
    const grid = await grids!.read(name, W, dtypeOf(written, found.name)).catch((error: unknown) => {
      if (error instanceof CheckpointError && error.code === 'E_CHECKPOINT_SCALES') return undefined;
      throw error;
    });
    if (grid) scales.set(found.name, { ...grid, name: found.name });
    else left.push(found.name);
  }
  const ordered = [...linears.keys()].flatMap((name) => scales.get(name) ?? []);
  if (ordered.length > 0) await writeScales(written.checkpoint.dir, ordered);
  if (left.length === 0) return;
  const text = `${left.length} linears (${left[0]} and others) are no longer on the grid that they were quantised to, so they have no scales: pack and export will round them again. Quantise after the other steps, or use a criterion that moves no weight, such as wanda.`;
  onProgress({
    kind: 'note',
    text: left.length === 1 ? text.replace('1 linears', '1 linear').replace(' and others', '') : text,
  });
}
