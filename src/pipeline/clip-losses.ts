// The loss of clips: ‖residual after the piece of the last layer − the dense model's there‖² on calibration windows, where the
// layers up to it read quantised inputs and those after it do not. Weights are quantised all along. One session serves all clips
// of the same layers, and what an earlier piece gives is kept as long as its clips stay the same, so a search should vary the
// last layer fastest. Sums are taken in double precision in the order of the chunks.

import { type Own, withResources } from '../base/index.js';
import type { Engine, HostTensor, Session } from '../engine/index.js';
import { clipOf, type Model, partGraph } from '../model/index.js';
import type { ClipLoss } from '../operators/index.js';
import { type Activations, chunkTensor, inParallel } from '../stream/index.js';
import { type ClipLayer, type ClipPiece, type ClipRanges, gridsOf } from './clip-layers.js';

export type ClipContext = {
  readonly engine: Engine;
  /** The model with quantised weights. */
  readonly model: Model;
  readonly pieces: readonly ClipPiece[];
  readonly bits: number;
  readonly ranges: ClipRanges | undefined;
};

type Values = readonly Float32Array[];

/** Runs a piece whose layers in `on` have the clips of `clipAt`; the others read their inputs as they are. */
export type RunPiece = (
  own: Own,
  piece: ClipPiece,
  on: readonly ClipLayer[],
) => (from: Values, shape: Activations, clipAt: (layer: ClipLayer) => number) => Promise<Values>;

/** Runs pieces; each session is loaded once and closed with the scope of `own`. */
export function createPieceRunner({ engine, model, bits, ranges }: ClipContext): RunPiece {
  return (own, piece, on) => {
    let loading: Promise<Session> | undefined;
    return async (from, shape, clipAt) => {
      const activations = gridsOf(on, bits, ranges, () => 'input');
      loading ??= own(engine.load(partGraph(model, piece.block, piece.part, { length: shape.length, activations })));
      const session = await loading;
      const clips: Record<string, HostTensor> = {};
      for (const layer of on) {
        const data = Float32Array.of(clipAt(layer));
        for (const site of layer.sites) clips[clipOf(site)] = { type: 'f32', shape: [1], data };
      }
      return await inParallel(engine.concurrency, shape.chunks.length, async (chunk) => {
        const { y } = await session.run({ x: chunkTensor(shape, chunk, from[chunk]!), ...clips });
        return y!.data as Float32Array;
      });
    };
  };
}

export type Stretch = {
  /** The layers whose clips are searched: one after another. */
  readonly layers: readonly ClipLayer[];
  /** The stream before the piece of the first of them. */
  readonly start: Values;
  /** The clip of an earlier layer of that piece; undefined where it reads its input as it is. */
  readonly before: (layer: ClipLayer) => number | undefined;
  /** The dense model's residual after a piece, by its place. */
  readonly dense: (piece: number) => Promise<Values>;
  readonly shape: Activations;
};

/** The loss of clips for the first layers of a stretch. Sessions live as long as `use`. */
export async function withClipLoss<T>(
  context: ClipContext,
  { layers, start, before, dense, shape }: Stretch,
  use: (loss: ClipLoss) => Promise<T>,
): Promise<T> {
  const { pieces } = context;
  const runner = createPieceRunner(context);
  const pieceOf = (layer: ClipLayer): number => pieces.findIndex((piece) => piece.layers.includes(layer));
  return await withResources(async (own) => {
    const loaded = new Map<string, ReturnType<RunPiece>>();
    // Losses may be asked for side by side, so what is not there yet is kept too.
    const kept = new Map<number, { readonly key: string; readonly values: Promise<Values> }>();
    return await use(async (clips) => {
      const searched = new Map(clips.map((clip, i) => [layers[i]!, clip]));
      const last = layers[clips.length - 1]!;
      const [from, to] = [pieceOf(layers[0]!), pieceOf(last)];
      const clipAt = (layer: ClipLayer): number | undefined => searched.get(layer) ?? before(layer);
      let values = start;
      let key = '';
      for (let place = from; place <= to; place++) {
        const piece = pieces[place]!;
        const on = piece.layers.filter((layer) => layer.index <= last.index && clipAt(layer) !== undefined);
        key += `${place}:${on.map((layer) => `${layer.index}=${clipAt(layer)}`)};`;
        const found = kept.get(place);
        if (place < to && found?.key === key) {
          values = await found.values;
          continue;
        }
        const id = `${place}:${on.map(({ index }) => index)}`;
        const run = loaded.get(id) ?? runner(own, piece, on);
        loaded.set(id, run);
        const made = run(values, shape, (layer) => clipAt(layer)!);
        if (place < to) kept.set(place, { key, values: made });
        values = await made;
      }
      return squaredDistance(values, await dense(to));
    });
  });
}

function squaredDistance(a: Values, b: Values): number {
  let sum = 0;
  for (const [chunk, values] of a.entries()) {
    const others = b[chunk]!;
    for (let i = 0; i < values.length; i++) sum += (values[i]! - others[i]!) ** 2;
  }
  return sum;
}
