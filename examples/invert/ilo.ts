// Inverse problems with a generator as the prior: an image x = G(z) with A(x) ≈ y.
//   CSGM (Bora, Jalal, Price, Dimakis 2017): min over z of ‖A(G(z)) − y‖².
//   ILO (Daras, Dean, Jalal, Dimakis 2021, arXiv 2102.07364): then the same over the activation h at a deeper layer, within an ℓ1
//   ball around what the layers before give, and so on through depth. Deeper activations reach more images; the ball
//   keeps them near those that the generator makes.
// As in the released code, and unlike the paper's Algorithm 1, h is not brought back to the range of the layers before it. Of all
// steps the one with the least loss is kept, for each item by itself, so no round without a penalty ends above its start.

import { cotangentOf, differentiate, type Engine, GraphBuilder, gradientOf, int } from 'layerwise';
import { createAdam, ramp } from './adam.js';
import { cut, type Generator } from './layers.js';
import type { Measurement } from './measure.js';
import { projectL1 } from './project.js';

export type Round = {
  /** What is changed: 0 is the latent, k what layer k reads. Rounds go through depth. */
  readonly layer: number;
  readonly steps: number;
  readonly rate: number;
  /** Of the ball around the start of the round, in Σ |h|. Defaults to ∞. */
  readonly radius?: number;
  /** λ of λ·mean h² beside the loss, as CSGM has it of the latent. Defaults to 0. */
  readonly penalty?: number;
};

export type Inversion = {
  /** The latents after the rounds at layer 0, from which other rounds can go on. */
  readonly latents: Float32Array;
  /** The images, [batch, …image], as the generator gives them. */
  readonly images: Float32Array;
  /** After each round, for each item, ‖A(x) − y‖² divided by the number of measurements. */
  readonly losses: readonly Float32Array[];
};

/**
 * The images of `start`, a latent for each item, made to agree with `y`, what `measurement` gives of the images looked for.
 * `onStep` is told the mean of the losses.
 */
export async function invert(
  engine: Engine,
  generator: Generator,
  {
    measurement,
    y,
    start,
    rounds,
  }: {
    readonly measurement: Measurement;
    readonly y: Float32Array;
    readonly start: Float32Array;
    readonly rounds: readonly Round[];
  },
  onStep: (round: Round, step: number, loss: number) => void = () => {},
): Promise<Inversion> {
  const batch = start.length / generator.layers[0]!.shape.reduce((a, b) => a * b);
  const losses: Float32Array[] = [];
  let latents = start;
  let [h, at]: [Float32Array, number] = [start, 0];
  for (const round of rounds) {
    if (round.layer < at) throw new RangeError(`A round at layer ${round.layer} comes after one at layer ${at}.`);
    if (round.layer > at) h = await pass(engine, generator, at, round.layer, h, batch);
    at = round.layer;
    const best = await descend(engine, generator, round, { measurement, y, start: h, batch }, onStep);
    h = best.values;
    if (at === 0) latents = h;
    losses.push(best.losses);
  }
  return { images: await pass(engine, generator, at, generator.layers.length, h, batch), latents, losses };
}

/** What the layers from `from` up to `to` make of an activation. */
export async function pass(
  engine: Engine,
  generator: Generator,
  from: number,
  to: number,
  h: Float32Array,
  batch: number,
): Promise<Float32Array> {
  const session = await engine.load(cut(generator, from, to, batch));
  const { out } = await session.run({ h: { type: 'f32', shape: [batch, ...generator.layers[from]!.shape], data: h } });
  await session.release();
  return out!.data as Float32Array;
}

async function descend(
  engine: Engine,
  generator: Generator,
  round: Round,
  {
    measurement,
    y,
    start,
    batch,
  }: {
    readonly measurement: Measurement;
    readonly y: Float32Array;
    readonly start: Float32Array;
    readonly batch: number;
  },
  onStep: (round: Round, step: number, loss: number) => void,
): Promise<{ readonly values: Float32Array; readonly losses: Float32Array }> {
  const { layer, steps, rate, radius = Number.POSITIVE_INFINITY, penalty = 0 } = round;
  const size = start.length / batch;
  const session = await engine.load(lossGraph(generator, layer, measurement, batch, y.length / batch, penalty));
  const [h, adam] = [start.slice(), createAdam(start.length)];
  const best = { values: start.slice(), losses: new Float32Array(batch) };
  const least = new Float32Array(batch).fill(Number.POSITIVE_INFINITY);
  const shape = [batch, ...generator.layers[layer]!.shape];
  for (let step = 0; step <= steps; step++) {
    const outputs = await session.run({
      h: { type: 'f32', shape, data: h },
      y: { type: 'f32', shape: [batch, y.length / batch], data: y },
      [cotangentOf('total')]: { type: 'f32', shape: [batch, 1], data: new Float32Array(batch).fill(1) },
    });
    const losses = outputs.loss!.data as Float32Array;
    const totals = outputs.total!.data as Float32Array;
    for (let item = 0; item < batch; item++) {
      if (!(totals[item]! < least[item]!)) continue;
      least[item] = totals[item]!;
      best.losses[item] = losses[item]!;
      best.values.set(h.subarray(item * size, (item + 1) * size), item * size);
    }
    onStep(
      round,
      step,
      losses.reduce((sum, loss) => sum + loss / batch, 0),
    );
    if (step === steps) break;
    adam(h, outputs[gradientOf('h')]!.data as Float32Array, rate * ramp(step, steps));
    if (radius !== Number.POSITIVE_INFINITY) keepNear(h, start, size, radius);
  }
  await session.release();
  return best;
}

/** Brings every item of `h` back into the ball around that of `centre`. */
function keepNear(h: Float32Array, centre: Float32Array, size: number, radius: number): void {
  for (let from = 0; from < h.length; from += size) {
    const away = Float32Array.from({ length: size }, (_, i) => h[from + i]! - centre[from + i]!);
    projectL1(away, radius);
    for (const [i, value] of away.entries()) h[from + i] = centre[from + i]! + value;
  }
}

/** From h and y to the loss of each item, without the penalty and with it, and the gradient of the latter by h. */
function lossGraph(
  generator: Generator,
  layer: number,
  measurement: Measurement,
  batch: number,
  width: number,
  penalty: number,
) {
  const tail = cut(generator, layer, generator.layers.length, batch);
  const g = new GraphBuilder('loss/');
  g.input('h', 'f32', tail.inputs[0]!.shape);
  g.input('y', 'f32', [batch, width]);
  g.add(tail);
  const residual = g.op('Sub', [measurement.apply(g, 'out', batch), 'y']);
  const squares = g.op('ReduceSumSquare', [residual, g.shape([1])], { keepdims: int(1) });
  const share = g.constant('share of a measurement', Float32Array.of(1 / measurement.count), [1]);
  const loss = g.op('Mul', [squares, share]);
  const numbers = generator.layers[layer]!.shape.reduce((a, b) => a * b);
  const flat = g.op('Reshape', ['h', g.shape([batch, numbers])]);
  const sizes = g.op('ReduceSumSquare', [flat, g.shape([1])], { keepdims: int(1) });
  const weight = g.constant('weight of the penalty', Float32Array.of(penalty / numbers), [1]);
  g.output(loss, 'loss', [batch, 1]);
  g.output(g.op('Add', [loss, g.op('Mul', [sizes, weight])]), 'total', [batch, 1]);
  return differentiate(g.build(`loss of ${tail.name}`, tail.folder), {
    seeds: ['total'],
    wrt: ['h'],
    keep: ['loss', 'total'],
  });
}

/** 10·log₁₀(1 / mean square error) of each image in decibels, its values brought into [0, 1]. */
export function psnr(images: Float32Array, truth: Float32Array, batch: number): readonly number[] {
  const size = truth.length / batch;
  return Array.from({ length: batch }, (_, item) => {
    let sum = 0;
    for (let i = item * size; i < (item + 1) * size; i++) {
      sum += (Math.min(1, Math.max(0, images[i]!)) - truth[i]!) ** 2;
    }
    return -10 * Math.log10(sum / size);
  });
}
