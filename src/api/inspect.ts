// Describes a checkpoint: blocks, linears, bytes, zeros. Zeros are counted from the bytes on disk.

import { type OnProgress, silent } from '../base/index.js';
import { type Loads, loadsWhere } from '../formats/index.js';
import { type BrokenTensor, findBroken, type Model, modelTensors, unevenExperts, weightName } from '../model/index.js';
import { countZeros, type LinearReport, openSource } from '../runs/index.js';

export type CheckpointReport = {
  readonly checkpoint: string;
  readonly family: string;
  readonly blocks: number;
  readonly hidden: number;
  readonly intermediate: number;
  /** The mixture of experts, and the number of blocks that have one instead of an MLP; null if there are none. */
  readonly experts: {
    /** The largest number of a block, and those of all that have some. */
    readonly count: number;
    readonly counts: readonly number[];
    readonly perToken: number;
    readonly width: number;
    readonly blocks: number;
  } | null;
  readonly heads: number;
  readonly kvHeads: number;
  /** Of each block, where they differ from these; null where all blocks are equally wide. */
  readonly widths: Model['config']['widths'] | null;
  /** Where a checkpoint with such widths loads, and in which form; null where blocks are equally wide and have as many experts. */
  readonly loads: readonly Loads[] | null;
  readonly vocabulary: number;
  /** Of a model that reads images, the size of these in pixels. */
  readonly image: { readonly width: number; readonly height: number } | undefined;
  readonly maxPositions: number;
  readonly tied: boolean;
  readonly shards: number;
  /** Bytes of the weight tensors. */
  readonly bytes: number;
  readonly parameters: number;
  readonly prunable: number;
  readonly zeros: number;
  /** Zeros over all prunable weights. */
  readonly sparsity: number;
  readonly blockSparsity: readonly number[];
  /** NaN and infinities in all tensors that the model uses, with their places. */
  readonly nan: number;
  readonly infinite: number;
  readonly broken: readonly BrokenTensor[];
  readonly linears: readonly LinearReport[];
  /** How differences between config.json and the tensors were resolved. */
  readonly notes: readonly string[];
};

/**
 * Opens a checkpoint, by its directory, its .gguf file or its name on the Hub, and counts.
 * @throws CheckpointError E_CHECKPOINT_…, UnsupportedError, ResourceError, RemoteError
 */
export async function inspect(
  checkpointOrName: string,
  { onProgress = silent }: { readonly onProgress?: OnProgress } = {},
): Promise<CheckpointReport> {
  const model = await openSource(checkpointOrName, onProgress, { images: true, activations: 'obey' });
  const { config, checkpoint } = model;
  const linears = await countZeros(model);
  const broken = await listBroken(model, linears);
  const sparsityOf = (some: readonly LinearReport[]): number =>
    some.reduce((sum, l) => sum + l.zeros, 0) / some.reduce((sum, l) => sum + l.rows * l.columns, 0);
  return {
    checkpoint: checkpointOrName,
    family: config.family,
    blocks: config.blocks,
    hidden: config.hidden,
    intermediate: config.stated.intermediate,
    experts: describeExperts(config.mixtures),
    heads: config.stated.heads,
    kvHeads: config.stated.kvHeads,
    widths: config.uneven ? config.widths : null,
    loads: config.uneven || unevenExperts(config) ? loadsWhere(config) : null,
    vocabulary: config.vocabulary,
    image: config.image && { width: config.image.width, height: config.image.height },
    maxPositions: config.maxPositions,
    tied: config.tied,
    shards: checkpoint.shards.length,
    bytes: model.bytes,
    parameters: model.parameters,
    prunable: model.prunable,
    zeros: linears.reduce((sum, linear) => sum + linear.zeros, 0),
    sparsity: sparsityOf(linears),
    blockSparsity: model.linears.map((_, block) => sparsityOf(linears.filter((linear) => linear.block === block))),
    nan: broken.reduce((sum, { nan }) => sum + nan, 0),
    infinite: broken.reduce((sum, { infinite }) => sum + infinite, 0),
    broken,
    linears,
    notes: model.notes,
  };
}

function describeExperts(mixtures: Model['config']['mixtures']): CheckpointReport['experts'] {
  const all = mixtures.filter((mixture) => mixture !== undefined);
  const [first] = all;
  if (first === undefined) return null;
  const counts = all.map(({ experts }) => experts);
  return { count: Math.max(...counts), counts, perToken: first.perToken, width: first.width, blocks: all.length };
}

/** Finds the places of NaN and infinities. Linears were counted before, so only broken ones are read again. */
async function listBroken(model: Model, linears: readonly LinearReport[]): Promise<BrokenTensor[]> {
  const sound = new Set(linears.filter(({ nan, infinite }) => nan + infinite === 0).map(weightName));
  const broken: BrokenTensor[] = [];
  for (const name of modelTensors(model.config, model.tensorNames).keys()) {
    const found = sound.has(name) ? undefined : await findBroken(model.checkpoint, name);
    if (found) broken.push(found);
  }
  return broken;
}
