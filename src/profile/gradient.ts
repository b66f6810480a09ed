// How much the loss depends on each linear's weights: the zeroth-order estimate of ‖∂loss/∂W‖_F that ECoFLaP allocates
// by (arXiv 2310.02998, §3), from forward passes only. For a window's loss ℓ, a direction z and a small ε,
//   d = (ℓ(W + εz) − ℓ(W − εz))/(2ε) = ⟨∂ℓ/∂W, z⟩ + O(ε²),   E d² = ‖∂ℓ/∂W‖²_F.
// A linear's measure is the root of the mean of d² over windows, with one direction each (more where windows are few).
// We differ: d² is averaged, not |d|, whose mean is √(2/π) of the norm and varies more; z has random signs instead of
// Gaussian values (the same mean, less variance, a thirty-second of the random numbers); a draw is one window, not a
// batch of eight; ε is a hundredth of the root mean square of W, not a fixed 0.001; weights are never changed in place.

import { createRng, handOver, type OnProgress, type Own, UnsupportedError, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { createBackward, scoreSamples } from '../evaluate/index.js';
import { blockGraph, type Linear, type Model, readLinear, weightName } from '../model/index.js';
import {
  type Activations,
  type Content,
  chunkTensor,
  countOf,
  createActivations,
  inParallel,
  isTiled,
  passBlock,
  pick,
  type Samples,
  type Text,
} from '../stream/index.js';

/**
 * Draws for each linear. One draw is a rough estimate: the relative standard error is 1/√(2·draws), an eighth for 32.
 * Against exact gradients of the demo checkpoint, that ranks its linears with a Spearman correlation of 0.95 to 0.96
 * (test/profile/gradient.test.ts).
 */
export const GRADIENT_DRAWS = 32;
const EPSILON = 0.01;
/** ε of a linear of zeros. */
const SMALLEST_EPSILON = 1e-6;
/** Memory budget for the streams of one block's linears together, in bytes; beyond it they go to disk. */
const STREAM_MEMORY = 1 << 30;

/**
 * The estimate for every linear of the model, in its order, on the windows of `text`. The streams of one block's linears
 * run through the rest together: two per linear, with one graph resident at a time.
 */
export async function measureGradients(
  engine: Engine,
  model: Model,
  text: Samples,
  seed: number,
  onProgress: OnProgress,
): Promise<number[]> {
  if (isTiled(text)) {
    throw new UnsupportedError(
      'E_UNSUPPORTED_TILES',
      'Norms of gradients are not implemented for a vision trunk whose images are cut into tiles: a direction would be drawn for each tile. Set do_image_splitting to false in preprocessor_config.json, or use another policy.',
    );
  }
  onProgress({ kind: 'stage', stage: 'gradients', total: model.config.blocks });
  const samples = countOf(text.content);
  const directions = Math.ceil(GRADIENT_DRAWS / samples);
  const places = Array.from({ length: samples }, (_, at) => Array<number>(directions).fill(at)).flat();
  const repeated = pick(text.content, places);
  return await withResources(async (own) => {
    const prefix = await own(spread(text.embedded, directions));
    const norms: number[] = [];
    for (const [block, linears] of model.linears.entries()) {
      await withResources(async (ownPair) => {
        const pairs: Pair[] = [];
        for (const linear of linears) {
          const draws = createRng(seed + norms.length + pairs.length);
          pairs.push(await perturb(ownPair, engine, model, linear, prefix, draws));
        }
        const streams = pairs.flatMap(({ plus, minus }) => [plus, minus]);
        for (let next = block + 1; next < model.config.blocks; next++) {
          await passBlock(
            engine,
            model,
            next,
            streams.map((stream) => [stream, stream]),
          );
        }
        for (const pair of pairs) norms.push(await estimate(engine, model, pair, repeated));
      });
      await passBlock(engine, model, block, [[prefix, prefix]]);
      onProgress({ kind: 'advance', detail: `block ${block + 1} of ${model.config.blocks}` });
    }
    return norms;
  });
}

/**
 * The same measure from exact gradients: the root of the mean over windows of ‖∂ℓ/∂W‖²_F, for every linear. One pass forward
 * and back, which is as much work as four passes; the estimate takes two for each linear.
 */
export async function measureExactGradients(
  engine: Engine,
  model: Model,
  text: Text,
  onProgress: OnProgress,
): Promise<number[]> {
  onProgress({ kind: 'stage', stage: 'gradients', total: model.config.blocks });
  const { blocks } = model.config;
  const count = text.content.windows.length;
  return await withResources(async (own) => {
    const embedded = await own(spread(text.embedded, 1));
    const backward = await own(createBackward(engine, model));
    const squares = new Map<string, number>();
    await backward.pass(
      { content: text.content, embedded },
      {
        loss: { kind: 'nll' },
        squares: true,
        wrt: (place) => (place === 'head' ? [] : model.linears[place]!.map(weightName)),
        onGradients: (place, sums) => {
          if (place === 'head') return;
          for (const [name, [sum]] of sums) squares.set(name, sum!);
          onProgress({ kind: 'advance', detail: `block ${place + 1} of ${blocks}` });
        },
      },
    );
    // The loss of the pass is the mean of the windows' losses: each gradient is a window's over their number.
    return model.linears.flat().map((linear) => Math.sqrt(count * squares.get(weightName(linear))!));
  });
}

/** The residual after a block with one linear's weights at W + εz, and at W − εz; each window has its own z. */
type Pair = { readonly epsilon: number; readonly plus: Activations; readonly minus: Activations };

async function perturb(
  own: Own,
  engine: Engine,
  model: Model,
  linear: Linear,
  from: Activations,
  seeds: ReturnType<typeof createRng>,
): Promise<Pair> {
  const { block, rows, columns } = linear;
  const W = await readLinear(model.checkpoint, linear);
  const square = W.reduce((sum, w) => sum + w * w, 0) / W.length;
  const epsilon = Math.max(EPSILON * Math.sqrt(square), SMALLEST_EPSILON);
  const budget = STREAM_MEMORY / (2 * model.linears[block]!.length);
  const { ends } = from;
  const open = async (): Promise<Activations> => {
    const store = await own(createActivations(from.chunks, from.length, from.width, budget));
    return Object.assign(store, ends && { ends });
  };
  const pair = { epsilon, plus: await open(), minus: await open() };
  // Draw the seeds first, so that the order of the workers does not matter.
  const draws = from.chunks.map(() => seeds.uint32());
  const graph = blockGraph(model, block, { length: from.length, outputs: 'hidden', weightInput: linear });
  await withResources(async (ownSession) => {
    const session = await ownSession(engine.load(graph));
    await inParallel(engine.concurrency, draws.length, async (chunk) => {
      const x = await from.read(chunk);
      for (const [side, weights] of [pair.plus, pair.minus].entries()) {
        const data = shift(W, side === 0 ? epsilon : -epsilon, draws[chunk]!);
        const w = { type: 'f32', shape: [rows, columns], data } as const;
        const { y } = await session.run({ x: chunkTensor(from, chunk, x), w });
        await weights.write(chunk, y!.data as Float32Array);
      }
    });
  });
  return pair;
}

/** W + step·z, where z has random signs; the same for the same seed. */
function shift(W: Float32Array, step: number, seed: number): Float32Array {
  const rng = createRng(seed);
  const shifted = new Float32Array(W.length);
  for (let i = 0, bits = 0; i < W.length; i++, bits >>>= 1) {
    if (i % 32 === 0) bits = rng.uint32();
    shifted[i] = W[i]! + (bits & 1 ? step : -step);
  }
  return shifted;
}

async function estimate(engine: Engine, model: Model, pair: Pair, content: Content): Promise<number> {
  const plus = await scoreSamples(engine, model, pair.plus, content);
  const minus = await scoreSamples(engine, model, pair.minus, content);
  const squares = plus.reduce((sum, loss, w) => sum + ((loss - minus[w]!) / (2 * pair.epsilon)) ** 2, 0);
  return Math.sqrt(squares / plus.length);
}

/** The same residual in chunks of one window each, with every window repeated `times` times. */
async function spread(from: Activations, times: number): Promise<Activations> {
  const { length, width, chunks, ends } = from;
  const count = times * chunks.reduce((a, b) => a + b, 0);
  return await handOver(await createActivations(Array(count).fill(1), length, width), async (single) => {
    if (ends) single.ends = Int32Array.from({ length: count }, (_, at) => ends[Math.floor(at / times)]!);
    let to = 0;
    for (const [chunk, windows] of chunks.entries()) {
      const data = await from.read(chunk);
      for (let w = 0; w < windows; w++) {
        const window = data.slice(w * length * width, (w + 1) * length * width);
        for (let again = 0; again < times; again++) await single.write(to++, window.slice());
      }
    }
    return single;
  });
}
