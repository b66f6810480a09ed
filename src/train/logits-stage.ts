// Training of the whole model on its logits: the divergence from the dense model's distribution of the next token, or the
// likelihood of the text. A step keeps the residual between blocks; the backward pass visits the blocks from the last to the
// first and runs each one again, so one block's weights and inner values are resident. Divergence counts all positions of a
// window, likelihood all but the last, which has no next token in it.

import { type OnProgress, type Own, withResources } from '../base/index.js';
import type { Engine, HostTensor, Session } from '../engine/index.js';
import { LOGITS_PER_RUN, nextTokens, scoreDivergences, scoreSamples, slabOf } from '../evaluate/index.js';
import { cotangentOf, differentiate, gradientOf } from '../graph/index.js';
import { blockGraphs, headGraph, type Model } from '../model/index.js';
import { type Activations, chunkTensor, inParallel, sameShape, startsOf, sumRuns, type Text } from '../stream/index.js';
import { type Curve, type Gradient, type LoopSettings, type Problem, train } from './loop.js';
import { chunksOfStep } from './order.js';
import type { Parameter } from './parameter.js';
import { openSessions, passHalves, tensorsOf, weightsOf } from './sessions.js';
import { roleOf } from './stream-stage.js';

export type LogitsStage = {
  readonly engine: Engine;
  readonly model: Model;
  readonly loss: 'kl' | 'nll';
  readonly parameters: readonly (readonly Parameter[])[];
  readonly training: Text;
  readonly validation: Text;
  /** The dense model's residuals after its last block on the two texts; for the divergence. */
  readonly reference: { readonly training: Activations; readonly validation: Activations } | undefined;
  readonly perStep: number;
  readonly seed: number;
  readonly settings: LoopSettings;
  readonly onProgress: OnProgress;
};

/** Trains all parameters together. */
export async function trainLogits(stage: LogitsStage): Promise<Curve> {
  const { settings, onProgress } = stage;
  return await withResources(async (own) => {
    const problem = await openLogits(own, stage);
    onProgress({ kind: 'stage', stage: `whole model, ${stage.loss}`, total: settings.steps, unit: 'step' });
    return await train(problem, settings);
  });
}

/** The loss of the whole model and its gradient. The scope that `own` belongs to closes its sessions. */
async function openLogits(own: Own, stage: Omit<LogitsStage, 'settings' | 'onProgress'>): Promise<Problem> {
  const { engine, model, parameters, validation, reference } = stage;
  const { length } = stage.training.content;
  const sessions = openSessions(own, engine);
  const all = parameters.flat();
  const weights = weightsOf(model, all);
  const blocks = parameters.map((_, block) => blockGraphs(model, block, length).whole);
  const first = parameters.findIndex((of) => of.length > 0);
  const backward: (Session | undefined)[] = [];
  for (const [block, half] of blocks.entries()) {
    const roles = parameters[block]!.map(({ tensor }) => roleOf(half, tensor));
    const wrt = [...(block > first ? ['x'] : []), ...roles];
    backward.push(block < first ? undefined : await sessions(differentiate(half.graph, { seeds: ['y'], wrt })));
  }
  const head = await openHead(stage, sessions);
  const stream = await own(sameShape(validation.embedded));
  const validate = async (): Promise<number> => {
    await passHalves(engine, sessions, blocks, weights, [validation.embedded, stream]);
    const scores = reference
      ? (await scoreDivergences(engine, model, [stream], reference.validation))[0]!
      : await scoreSamples(engine, model, stream, validation.content);
    return scores.reduce((a, b) => a + b, 0) / scores.length;
  };

  const gradient = async (step: number): Promise<Gradient> => {
    const { embedded } = stage.training;
    const chunks = chunksOfStep(step, stage.perStep, embedded.chunks.length, stage.seed);
    const each = <T>(work: (index: number, chunk: number) => Promise<T>): Promise<T[]> =>
      inParallel(engine.concurrency, chunks.length, (index) => work(index, chunks[index]!));
    const tensorOf = (chunk: number, data: Float32Array): HostTensor => chunkTensor(embedded, chunk, data);
    // residuals[block][index]: before the block.
    const residuals: Float32Array[][] = [await each((_, chunk) => embedded.read(chunk))];
    for (const [block, half] of blocks.entries()) {
      const session = await sessions(half.graph);
      const tensors = await tensorsOf(half, weights);
      residuals.push(
        await each(async (index, chunk) => {
          const { y } = await session.run({ ...tensors, x: tensorOf(chunk, residuals[block]![index]!) });
          return y!.data as Float32Array;
        }),
      );
    }
    const windows = chunks.reduce((sum, chunk) => sum + embedded.chunks[chunk]!, 0);
    const counted = windows * (stage.loss === 'kl' ? length : length - 1);
    const made = await each((index, chunk) => head(chunk, residuals.at(-1)![index]!, 1 / counted));
    let cotangents = made.map(({ gradient }) => gradient);
    let total = 0;
    for (const { loss } of made) total += loss;
    const gradients = new Map<string, Float32Array>();
    for (let block = blocks.length - 1; block >= first; block--) {
      const half = blocks[block]!;
      const tensors = await tensorsOf(half, weights);
      const next: Float32Array[] = [];
      const sums = await sumRuns(engine.workers, chunks.length, async (index) => {
        const { [gradientOf('x')]: dx, ...rest } = await backward[block]!.run({
          ...tensors,
          x: tensorOf(chunks[index]!, residuals[block]![index]!),
          [cotangentOf('y')]: tensorOf(chunks[index]!, cotangents[index]!),
        });
        if (dx) next[index] = dx.data as Float32Array;
        return rest;
      });
      for (const { tensor } of parameters[block]!) {
        gradients.set(tensor, sums.get(gradientOf(roleOf(half, tensor)))!);
      }
      cotangents = next;
    }
    return { loss: total / counted, gradients };
  };
  // A small divergence may grow a little before it falls; a likelihood starts near what it ends at.
  const diverges = (start: number): number => (stage.loss === 'kl' ? 3 * start + 0.5 : start + 1);
  return { what: 'whole model', diverges, parameters: all, gradient, validate };
}

/** The summed loss of a chunk, and the gradient of its residual times `weight`. */
type Head = (
  chunk: number,
  residual: Float32Array,
  weight: number,
) => Promise<{ readonly loss: number; readonly gradient: Float32Array }>;

async function openHead(
  { model, loss, training, reference }: Omit<LogitsStage, 'settings' | 'onProgress'>,
  sessions: ReturnType<typeof openSessions>,
): Promise<Head> {
  const output = loss === 'kl' ? 'divergence' : 'nll';
  const session = await sessions(
    differentiate(headGraph(model, output), { seeds: [output], wrt: ['x'], keep: [output] }),
  );
  const { length } = training.content;
  const { chunks } = training.embedded;
  const D = model.config.hidden;
  const starts = startsOf(chunks);
  // Both distributions and their gradient are held.
  const rows = Math.max(1, Math.floor(LOGITS_PER_RUN / 2 / model.config.vocabulary));
  return async (chunk, residual, weight) => {
    const all = chunks[chunk]! * length;
    const dense = reference && (await reference.training.read(chunk));
    const gradient = new Float32Array(all * D);
    let total = 0;
    for (let row = 0; row < all; row += rows) {
      const count = Math.min(rows, all - row);
      const scored = (r: number): boolean => dense !== undefined || (row + r) % length < length - 1;
      const seeds = Float32Array.from({ length: count }, (_, r) => (scored(r) ? weight : 0));
      const result = await session.run({
        x: slabOf(residual, D, row, count),
        ...(dense
          ? { reference: slabOf(dense, D, row, count) }
          : { target: nextTokens(training.content, starts[chunk]!, row, count) }),
        [cotangentOf(output)]: { type: 'f32', shape: [count, 1], data: seeds },
      });
      gradient.set(result[gradientOf('x')]!.data as Float32Array, row * D);
      const losses = result[output]!.data as Float32Array;
      for (let r = 0; r < count; r++) if (seeds[r] !== 0) total += losses[r]!;
    }
    return { loss: total, gradient };
  };
}
