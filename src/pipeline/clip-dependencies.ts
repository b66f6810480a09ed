// How much layer k + 1 depends on layer k, for the blocks of a search of clips (Q-VLM):
//   entropy    H(X_{k+1} | X_k) of the dense residual, in nats. A layer that reads the residual has the one before its piece, one
//              that writes into it the one after. The paper pairs the inputs of linears, which have different widths here.
//   measured   how much more the pair loses with clips chosen one after the other than with the best pair of clips, as a share,
//              when nothing else is quantised but weights.
// And the ranges that the dense model's inputs of linears have.

import { withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { blockGraph, expertOf, type Model } from '../model/index.js';
import { asymmetricGrid, clipGrid, clippedRange, entropiesOf, greedyClips, jointClips } from '../operators/index.js';
import { type Activations, inOrder, passBlock, runChunk, sameShape } from '../stream/index.js';
import { type ClipLayer, type ClipRanges, valuesOf } from './clip-layers.js';
import { withClipLoss } from './clip-losses.js';
import { type ClipSearch, denseResiduals } from './clip-search.js';

/** Elements of a residual whose entropy is taken. */
const SAMPLED = 4096;

type Step = (pair: number, make: () => Promise<number>) => Promise<number>;

/** D for each pair of neighbouring layers; `step` keeps each, by the pair's number. */
export async function measureDependencies(
  kind: 'entropy' | 'measured',
  search: ClipSearch,
  step: Step,
): Promise<readonly number[]> {
  const { engine, dense, pieces, bits, calibration, onProgress } = search;
  const { embedded } = calibration;
  const layers = pieces.flatMap((piece) => piece.layers);
  const placeOf = (layer: ClipLayer): number => pieces.findIndex((piece) => piece.layers.includes(layer));
  const found: number[] = [];
  await withResources(async (own) => {
    const residuals = denseResiduals(engine, dense, pieces, embedded);
    await own(residuals);
    const first = await valuesOf(embedded);
    const before = async (place: number): Promise<readonly Float32Array[]> =>
      place === 0 ? first : await residuals.at(place - 1);
    for (let k = 0; k + 1 < layers.length; k++) {
      const [one, two] = [layers[k]!, layers[k + 1]!];
      const place = placeOf(one);
      residuals.keep(place - 1);
      const dependency = await step(k, async () => {
        if (kind === 'entropy') {
          const sample = async (layer: ClipLayer): Promise<Float64Array> =>
            sampleOf(await (layer.writes ? residuals.at(placeOf(layer)) : before(placeOf(layer))));
          const [x, y] = [await sample(one), await sample(two)];
          const gridOf = (values: Float64Array) => asymmetricGrid(bits, ...clippedRange(values));
          return entropiesOf(x, y, { x: gridOf(x), y: gridOf(y) }).given;
        }
        const stretch = { layers: [one, two], start: await before(place), before: () => undefined };
        return await withClipLoss(search, { ...stretch, dense: residuals.at, shape: embedded }, async (loss) => {
          const greedy = await greedyClips(2, clipGrid(bits), loss, engine.concurrency);
          const joint = await jointClips(2, clipGrid(bits), loss, engine.concurrency);
          return greedy.loss === 0 ? 0 : (greedy.loss - joint.loss) / greedy.loss;
        });
      });
      found.push(dependency);
      onProgress({ kind: 'advance', detail: `pair ${k + 1} of ${layers.length - 1}` });
    }
  });
  return found;
}

/** The golden ratio, less 1: its multiples modulo 1 are spread evenly. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** Values spread evenly over a residual, a different part of a stride on each: else they would be those of a few channels. */
function sampleOf(values: readonly Float32Array[]): Float64Array {
  const all = values.reduce((sum, { length }) => sum + length, 0);
  const count = Math.min(SAMPLED, all);
  const sample = new Float64Array(count);
  let [chunk, passed] = [0, 0];
  for (let i = 0; i < count; i++) {
    const at = Math.floor(((i + ((i * GOLDEN) % 1)) * all) / count);
    while (at - passed >= values[chunk]!.length) passed += values[chunk++]!.length;
    sample[i] = values[chunk]![at - passed]!;
  }
  return sample;
}

/** The range of what the dense model's linears read, by block and site, on calibration windows. */
export async function measureRanges({ engine, dense, calibration, onProgress }: ClipSearch): Promise<ClipRanges> {
  const { embedded } = calibration;
  return await withResources(async (own) => {
    const stream = await own(sameShape(embedded));
    const ranges: ClipRanges[number][] = [];
    for (let block = 0; block < dense.config.blocks; block++) {
      const from = block === 0 ? embedded : stream;
      ranges.push(await rangesOfBlock(engine, dense, block, from));
      await passBlock(engine, dense, block, [[from, stream]]);
      onProgress({ kind: 'advance', detail: `block ${block + 1} of ${dense.config.blocks}` });
    }
    return ranges;
  });
}

async function rangesOfBlock(
  engine: Engine,
  model: Model,
  block: number,
  from: Activations,
): Promise<ClipRanges[number]> {
  const ranges = new Map(model.linears[block]!.map(({ site }) => [site as string, { low: 0, high: 0 }]));
  await withResources(async (own) => {
    const session = await own(engine.load(blockGraph(model, block, { length: from.length, outputs: 'inputs' })));
    const run = (chunk: number) => runChunk(session, from, chunk);
    await inOrder(engine.concurrency, from.chunks.length, run, (outputs) => {
      for (const [site, range] of ranges) {
        const [low, high] = clippedRange(outputs[site]!.data as Float32Array);
        range.low = Math.min(range.low, low);
        range.high = Math.max(range.high, high);
      }
    });
  });
  // An expert that no token reached has the range of the others.
  const experts = [...ranges].filter(([site]) => expertOf(site) !== undefined);
  for (const [site, range] of experts) {
    if (range.high > range.low) continue;
    const side = site.replace(/^expert_\d+/, '');
    const alike = experts.filter(([other]) => other.endsWith(side)).map(([, one]) => one);
    range.low = Math.min(...alike.map(({ low }) => low));
    range.high = Math.max(...alike.map(({ high }) => high));
  }
  return ranges;
}
