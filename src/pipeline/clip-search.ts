// Searches clips along a model (Q-VLM): from one stretch of layers to the next, each on the stream that the stretches before it
// leave, against the dense model's residual. Stretches of one layer are the greedy search.

import { type OnProgress, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { type Model, partGraph } from '../model/index.js';
import { clipGrid, greedyClips, jointClips, type LayerSpan } from '../operators/index.js';
import { type Activations, runBlock, type Samples, sameShape } from '../stream/index.js';
import { type ClipPiece, valuesOf } from './clip-layers.js';
import { type ClipContext, createPieceRunner, withClipLoss } from './clip-losses.js';

/** What a stretch of layers chose, and the squared error after it: without clips, greedily, and jointly. */
export type StretchResult = {
  readonly clips: readonly number[];
  readonly loss: { readonly plain: number; readonly greedy: number; readonly joint: number };
};

export type ClipSearch = ClipContext & {
  readonly dense: Model;
  readonly calibration: Samples;
  readonly onProgress: OnProgress;
};

type Values = readonly Float32Array[];

/** The dense residual after one piece after another. What lies before `keep` is dropped. */
export function denseResiduals(
  engine: Engine,
  dense: Model,
  pieces: readonly ClipPiece[],
  embedded: Activations,
): { at(place: number): Promise<Values>; keep(place: number): void; close(): Promise<void> } {
  const kept = new Map<number, Values>();
  let stream: Promise<Activations> | undefined;
  let next = 0;
  let before: Promise<unknown> = Promise.resolve();
  const step = async (): Promise<void> => {
    const { block, part } = pieces[next]!;
    stream ??= sameShape(embedded);
    const to = await stream;
    await withResources(async (own) => {
      const session = await own(engine.load(partGraph(dense, block, part, { length: embedded.length })));
      await runBlock(engine, session, next === 0 ? embedded : to, to);
    });
    kept.set(next++, await valuesOf(to));
  };
  return {
    at: (place) => {
      // Losses are asked for side by side; the stream goes one step at a time.
      const walk = async (): Promise<Values> => {
        while (next <= place) await step();
        return kept.get(place)!;
      };
      const found = before.then(walk);
      before = found.catch(() => undefined);
      return found;
    },
    keep: (place) => {
      for (const key of kept.keys()) if (key < place) kept.delete(key);
    },
    close: async () => {
      await before;
      await (await stream)?.close();
    },
  };
}

/**
 * The clips of all layers. `step` keeps the result of a stretch, by its number, for a run that is continued.
 */
export async function searchClips(
  search: ClipSearch,
  spans: readonly LayerSpan[],
  step: (stretch: number, make: () => Promise<StretchResult>) => Promise<StretchResult>,
): Promise<readonly StretchResult[]> {
  const { engine, dense, pieces, bits, calibration, onProgress } = search;
  const layers = pieces.flatMap((piece) => piece.layers);
  const grid = clipGrid(bits);
  const { embedded } = calibration;
  const runner = createPieceRunner(search);
  return await withResources(async (own) => {
    const residuals = denseResiduals(engine, dense, pieces, embedded);
    await own(residuals);
    let stream: Values = await valuesOf(embedded);
    let place = 0;
    const clips = new Map<number, number>();
    const results: StretchResult[] = [];
    for (const [stretch, { from, to }] of spans.entries()) {
      const searched = layers.slice(from, to);
      residuals.keep(place);
      const start = stream;
      const result = await step(stretch, () =>
        withClipLoss(
          search,
          {
            ...{ layers: searched, start, shape: embedded },
            before: ({ index }) => clips.get(index),
            dense: residuals.at,
          },
          async (loss) => {
            const joint = await jointClips(searched.length, grid, loss, engine.concurrency);
            const greedy =
              searched.length === 1 ? joint : await greedyClips(searched.length, grid, loss, engine.concurrency);
            const plain = await loss(searched.map(() => 1));
            return { clips: joint.clips, loss: { plain, greedy: greedy.loss, joint: joint.loss } };
          },
        ),
      );
      results.push(result);
      for (const [i, layer] of searched.entries()) clips.set(layer.index, result.clips[i]!);
      // Pieces all of whose layers have clips are behind the search.
      while (place < pieces.length && pieces[place]!.layers.every(({ index }) => clips.has(index))) {
        const piece = pieces[place++]!;
        stream = await withResources(async (forPiece) =>
          runner(forPiece, piece, piece.layers)(stream, embedded, ({ index }) => clips.get(index)!),
        );
      }
      onProgress({ kind: 'advance', by: to - from, detail: `layer ${to} of ${layers.length}` });
    }
    return results;
  });
}
