// Scores requests with a model: one forest after another, and block after block. Only one block is loaded at a time, and only
// the residual stream of one forest is in memory.

import { type OnProgress, withResources } from '../base/index.js';
import type { Engine, HostTensor } from '../engine/index.js';
import { blockGraph, checkpointSource, longestAlike, type Model } from '../model/index.js';
import { type Activations, chunkTensor, embedWindows, inParallel } from '../stream/index.js';
import {
  type EncodedRequest,
  type Likelihood,
  type PrefixTreeBatch,
  packPrefixTrees,
  scoreBatch,
} from '../zeroshot/index.js';
import { blockFileSource, blockPath } from './block-file.js';

/** About the bytes of a forest's residual stream: it fits in memory, and loading the blocks costs little in comparison. */
const FOREST_BYTES = 1 << 29;
/** The most tokens of a tree, unless one sequence is longer. Attention costs the length of a row per token. */
const TREE_TOKENS = 512;

/** The number of progress steps of `scoreSequences`. */
export const forestSteps = (model: Model, forests: readonly PrefixTreeBatch[]): number =>
  forests.length * model.config.blocks;

/** Packs the sequences of `items` into forests. */
export function forestsOf(model: Model, items: readonly (readonly EncodedRequest[])[]): readonly PrefixTreeBatch[] {
  const longest = items.flat().reduce((most, { input }) => Math.max(most, input.length), 0);
  return packPrefixTrees(items, {
    longBeyond: longestAlike(model.config.rope),
    treeTokens: Math.max(longest, TREE_TOKENS),
    batchTokens: Math.max(longest, Math.floor(FOREST_BYTES / (4 * model.config.hidden))),
  });
}

/** The likelihood of each sequence, with the block files in `dir`, or with the checkpoint's blocks without `dir`. */
export async function scoreSequences(
  engine: Engine,
  model: Model,
  dir: string | undefined,
  items: readonly (readonly EncodedRequest[])[],
  forests: readonly PrefixTreeBatch[],
  onProgress: OnProgress,
): Promise<readonly (readonly Likelihood[])[]> {
  const sequences = items.flat();
  const results = new Array<Likelihood>(sequences.length);
  for (const [number, forest] of forests.entries()) {
    await withResources(async (own) => {
      const stream = await own(embedWindows(model, forest.rows, forest.depths));
      const shapes = treeInputs(stream, forest);
      for (let block = 0; block < model.config.blocks; block++) {
        await growBlock(engine, model, block, dir, stream, forest.longest, shapes);
        const detail = forests.length > 1 ? ` of part ${number + 1} of ${forests.length}` : '';
        onProgress({ kind: 'advance', detail: `block ${block + 1} of ${model.config.blocks}${detail}` });
      }
      await scoreBatch(engine, model, stream, forest, sequences, results);
    });
  }
  let at = 0;
  return items.map((item) => item.map(() => results[at++]!));
}

type TreeInputs = Readonly<Record<'positions' | 'subtree_end', HostTensor>>;

/** Runs a block over all rows, in place. */
async function growBlock(
  engine: Engine,
  model: Model,
  block: number,
  dir: string | undefined,
  stream: Activations,
  longest: number,
  shapes: readonly TreeInputs[],
): Promise<void> {
  const source = dir === undefined ? checkpointSource(model.checkpoint) : await blockFileSource(blockPath(dir, block));
  const trees = { longest };
  const graph = blockGraph(model, block, { length: stream.length, outputs: 'hidden', trees, source });
  await withResources(async (own) => {
    const session = await own(engine.load(graph));
    await inParallel(engine.concurrency, stream.chunks.length, async (chunk) => {
      const x = chunkTensor(stream, chunk, await stream.read(chunk));
      const { y } = await session.run({ x, ...shapes[chunk]! });
      await stream.write(chunk, y!.data as Float32Array);
    });
  });
}

/** The tree inputs of the block graph for each chunk; the same for all blocks. */
function treeInputs({ chunks, length: T }: Activations, { depths, subtreeEnds }: PrefixTreeBatch): TreeInputs[] {
  let row = 0;
  return chunks.map((count) => {
    const positions = new BigInt64Array(count * T);
    const places = new Float32Array(count * T);
    for (let r = 0; r < count; r++, row++) {
      positions.set(BigInt64Array.from(depths[row]!, BigInt), r * T);
      places.set(subtreeEnds[row]!, r * T);
    }
    return {
      positions: { type: 'i64', shape: [count, T], data: positions },
      subtree_end: { type: 'f32', shape: [count, 1, 1, T], data: places },
    };
  });
}
