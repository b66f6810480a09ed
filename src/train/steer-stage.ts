// Steering of the residual after one block (RMU, arXiv 2403.03218; Adaptive RMU, AAAI 2025): on a forget text the residual h after
// block l is driven to c·u, u a fixed direction of length 1, and on a retain text it is kept at what it was, h₀:
//   L = mean over forget tokens of (h − c·u)² + α · mean over retain tokens of (h − h₀)², each mean over numbers of the residual
// Only `down` of blocks l − 2, l − 1 and l is trained (each expert's where there are experts), so the residual before block l − 2
// never changes and is computed once. The first token of a window does not count on the forget text: models put a huge residual
// there whatever the text is, which has nothing to forget.

import { type OnProgress, type Own, withResources } from '../base/index.js';
import { readTensorFloat32 } from '../checkpoint/index.js';
import type { Engine, HostTensor, Session } from '../engine/index.js';
import { cotangentOf, differentiate, ERROR, gradientOf, keepOutputs, squaredError, TARGET } from '../graph/index.js';
import { blockGraphs, type Half, type Model, weightName } from '../model/index.js';
import { type Activations, chunkTensor, inParallel, sumRuns } from '../stream/index.js';
import { type Curve, type Gradient, type LoopSettings, type Problem, train } from './loop.js';
import { chunksOfStep } from './order.js';
import { keptParameter, type Parameter } from './parameter.js';
import { type Inputs, openSessions, tensorsOf, weightsOf } from './sessions.js';
import { roleOf } from './stream-stage.js';

/** Blocks whose `down` is trained: the steered one and those before it. */
export const STEERED = 3;

/** A text before block l − 2, and of the retain text the residual after block l in the model as it was. */
export type SteerTexts = {
  readonly forget: { readonly before: Activations };
  readonly retain: { readonly before: Activations; readonly after: Activations };
};

export type SteerStage = {
  readonly engine: Engine;
  readonly model: Model;
  /** l, at least 2. */
  readonly layer: number;
  /** c·u, [D]. */
  readonly goal: Float32Array;
  readonly alpha: number;
  readonly parameters: readonly Parameter[];
  readonly training: SteerTexts;
  readonly validation: SteerTexts;
  /** Chunks of each text in a step. */
  readonly perStep: number;
  readonly seed: number;
  readonly settings: LoopSettings;
  readonly onProgress: OnProgress;
};

/** What is trained to steer block `layer`: zeros of a sparse matrix stay. */
export async function steeringParameters(model: Model, layer: number): Promise<readonly Parameter[]> {
  const all: Parameter[] = [];
  for (const name of steeredTensors(model, layer)) {
    const values = await readTensorFloat32(model.checkpoint, name);
    all.push(keptParameter(name, values, { zeros: 'stay', decays: false }));
  }
  return all;
}

/** The names of the tensors that are trained. */
export const steeredTensors = (model: Model, layer: number): readonly string[] =>
  model.linears
    .slice(layer - STEERED + 1, layer + 1)
    .flatMap((linears) => linears.filter(({ kind }) => kind === 'down').map(weightName));

/** Trains the parameters. */
export async function trainSteering(stage: SteerStage): Promise<Curve> {
  const { settings, onProgress, layer } = stage;
  return await withResources(async (own) => {
    const problem = await openSteering(own, stage);
    onProgress({ kind: 'stage', stage: `steering block ${layer}`, total: settings.steps, unit: 'step' });
    return await train(problem, settings);
  });
}

/** A chunk of a text, what its residual should be, and the weight of each token. */
type Item = {
  readonly before: Activations;
  readonly chunk: number;
  readonly target: Float32Array;
  readonly seeds: Float32Array;
};

/** The loss and its gradient. The scope that `own` belongs to closes its sessions. */
export async function openSteering(own: Own, stage: Omit<SteerStage, 'settings' | 'onProgress'>): Promise<Problem> {
  const { engine, model, layer, alpha, goal, parameters, perStep, seed } = stage;
  const { length, width } = stage.training.forget.before;
  const sessions = openSessions(own, engine);
  const weights = weightsOf(model, parameters);
  const blocks = Array.from({ length: STEERED }, (_, i) => layer - STEERED + 1 + i);
  const halves = blocks.map((block) => blockGraphs(model, block, length).whole);
  const ofBlock = halves.map((half) => parameters.filter(({ tensor }) => [...half.tensors.values()].includes(tensor)));
  const rolesOf = (half: Half, some: readonly Parameter[]) => some.map(({ tensor }) => roleOf(half, tensor));
  const last = STEERED - 1;
  const onlyError = keepOutputs(squaredError(halves[last]!.graph, 'y'), [ERROR]);
  const forward: Session[] = [];
  const backward: Session[] = [];
  for (const [i, half] of halves.entries()) {
    const wrt = [...(i > 0 ? ['x'] : []), ...rolesOf(half, ofBlock[i]!)];
    forward.push(await sessions(i === last ? onlyError : half.graph));
    backward.push(
      await sessions(
        i === last
          ? differentiate(onlyError, { seeds: [ERROR], wrt, keep: [ERROR] })
          : differentiate(half.graph, { seeds: ['y'], wrt }),
      ),
    );
  }

  const tile = (count: number): Float32Array => {
    const rows = new Float32Array(count * length * width);
    for (let at = 0; at < rows.length; at += width) rows.set(goal, at);
    return rows;
  };
  const itemsOf = async (texts: SteerTexts, forget: readonly number[], retain: readonly number[]): Promise<Item[]> => {
    const windows = (of: Activations, chunks: readonly number[]): number =>
      chunks.reduce((sum, chunk) => sum + of.chunks[chunk]!, 0);
    const toForget = 1 / (windows(texts.forget.before, forget) * (length - 1) * width);
    const toKeep = alpha / (windows(texts.retain.before, retain) * length * width);
    const items: Item[] = [];
    for (const chunk of forget) {
      const count = texts.forget.before.chunks[chunk]!;
      const seeds = Float32Array.from({ length: count * length }, (_, t) => (t % length === 0 ? 0 : toForget));
      items.push({ before: texts.forget.before, chunk, target: tile(count), seeds });
    }
    for (const chunk of retain) {
      const { before, after } = texts.retain;
      const seeds = new Float32Array(before.chunks[chunk]! * length).fill(toKeep);
      items.push({ before, chunk, target: await after.read(chunk), seeds });
    }
    return items;
  };
  const residual = ({ before, chunk }: Item, data: Float32Array): HostTensor => chunkTensor(before, chunk, data);
  const feeds = (item: Item, x: Float32Array, tensors: Inputs): Record<string, HostTensor> => ({
    ...tensors,
    x: residual(item, x),
    [TARGET]: residual(item, item.target.slice()),
  });
  const seedOf = ({ before, chunk, seeds }: Item): HostTensor => ({
    type: 'f32',
    shape: [before.chunks[chunk]!, length, 1],
    data: seeds.slice(),
  });
  /** The residuals before each of the blocks, of all items. */
  const run = async (items: readonly Item[]): Promise<Float32Array[][]> => {
    const residuals: Float32Array[][] = [
      await inParallel(engine.concurrency, items.length, async (i) => await items[i]!.before.read(items[i]!.chunk)),
    ];
    for (const [i, half] of halves.slice(0, last).entries()) {
      const tensors = await tensorsOf(half, weights);
      residuals.push(
        await inParallel(engine.concurrency, items.length, async (at) => {
          const { y } = await forward[i]!.run({ ...tensors, x: residual(items[at]!, residuals[i]![at]!) });
          return y!.data as Float32Array;
        }),
      );
    }
    return residuals;
  };
  const weigh = ({ seeds }: Item, errors: Float32Array): number => {
    let sum = 0;
    for (let t = 0; t < seeds.length; t++) if (seeds[t] !== 0) sum += seeds[t]! * errors[t]!;
    return sum;
  };

  const gradient = async (step: number): Promise<Gradient> => {
    const { forget, retain } = stage.training;
    const items = await itemsOf(
      stage.training,
      chunksOfStep(step, perStep, forget.before.chunks.length, seed),
      chunksOfStep(step, perStep, retain.before.chunks.length, seed + 1),
    );
    const residuals = await run(items);
    const losses: number[] = [];
    const gradients = new Map<string, Float32Array>();
    let cotangents: Float32Array[] = [];
    for (let i = last; i >= 0; i--) {
      const half = halves[i]!;
      const tensors = await tensorsOf(half, weights);
      const next: Float32Array[] = [];
      const sums = await sumRuns(engine.workers, items.length, async (at) => {
        const item = items[at]!;
        const inputs =
          i === last
            ? { ...feeds(item, residuals[i]![at]!, tensors), [cotangentOf(ERROR)]: seedOf(item) }
            : {
                ...tensors,
                x: residual(item, residuals[i]![at]!),
                [cotangentOf('y')]: residual(item, cotangents[at]!),
              };
        const { [gradientOf('x')]: dx, [ERROR]: error, ...rest } = await backward[i]!.run(inputs);
        if (dx) next[at] = dx.data as Float32Array;
        if (error) losses[at] = weigh(item, error.data as Float32Array);
        return rest;
      });
      for (const { tensor } of ofBlock[i]!) gradients.set(tensor, sums.get(gradientOf(roleOf(half, tensor)))!);
      cotangents = next;
    }
    return { loss: losses.reduce((a, b) => a + b, 0), gradients };
  };

  const validate = async (): Promise<number> => {
    const { forget, retain } = stage.validation;
    const all = ({ chunks }: Activations): readonly number[] => chunks.map((_, chunk) => chunk);
    const items = await itemsOf(stage.validation, all(forget.before), all(retain.before));
    const tensors = await tensorsOf(halves[last]!, weights);
    let loss = 0;
    // A few chunks at a time: a validation text is larger than a step.
    for (let from = 0; from < items.length; from += 2 * perStep) {
      const some = items.slice(from, from + 2 * perStep);
      const before = (await run(some))[last]!;
      const losses = await inParallel(engine.concurrency, some.length, async (at) => {
        const { [ERROR]: error } = await forward[last]!.run(feeds(some[at]!, before[at]!, tensors));
        return weigh(some[at]!, error!.data as Float32Array);
      });
      for (const one of losses) loss += one;
    }
    return loss;
  };
  // α makes the loss large on the way; no number at all, or a hundred times the start, is divergence.
  return { what: `block ${layer}`, diverges: (start) => 100 * start, parameters, gradient, validate };
}
