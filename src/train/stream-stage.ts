// Training against the dense stream, half by half (EBFT, arXiv 2402.12419; A Free Lunch, arXiv 2510.14444): a half reads what
// the healed blocks before it give, and is trained until it gives the dense model's residual at that place. One half is
// trained at a time; nothing above it is run. After a removed block the target is the dense residual behind it, so the block
// before the seam learns to do its work.

import { InternalError, type OnProgress, withResources } from '../base/index.js';
import type { Engine, HostTensor } from '../engine/index.js';
import { cotangentOf, differentiate, gradientOf, keepOutputs } from '../graph/index.js';
import { blockGraphs, type Half, type Model } from '../model/index.js';
import {
  type Activations,
  chunkTensor,
  copyStream,
  inParallel,
  sameShape,
  sumRuns,
  type Text,
} from '../stream/index.js';
import { type Curve, type LoopSettings, restoreTrained, train } from './loop.js';
import { chunksOfStep } from './order.js';
import type { Parameter } from './parameter.js';
import type { Parameters } from './parameters.js';
import { openSessions, passHalf, type Sessions, tensorsOf, type WeightsOf, weightsOf } from './sessions.js';
import { streamLoss } from './stream-loss.js';

/** The dense block that a block was, and those behind it that were removed. */
export type Match = { readonly dense: number; readonly removed: readonly number[] };

export type StreamStage = {
  readonly engine: Engine;
  readonly model: Model;
  readonly dense: Model;
  /** Of each block of `model`. */
  readonly matches: readonly Match[];
  readonly parameters: Parameters;
  readonly training: Text;
  readonly validation: Text;
  /** Chunks of a step. */
  readonly perStep: number;
  readonly seed: number;
  /** `path` is a folder. */
  readonly settings: LoopSettings;
  readonly onProgress: OnProgress;
};

/** The residuals of one text. */
type Streams = { readonly healed: Activations; readonly target: Activations };

export type HalfCurve = Curve & { readonly block: number; readonly half: Half['name'] };

/** Trains the halves that have parameters, in order. One block's parameters are in memory; the results are on disk (restoreStream). */
export async function trainStream(stage: StreamStage): Promise<readonly HalfCurve[]> {
  const { engine, model, dense, matches, parameters, settings, onProgress } = stage;
  const { blocks } = model.config;
  const { length } = stage.training.content;
  return await withResources(async (own) => {
    const sessions = openSessions(own, engine);
    const open = async (text: Text): Promise<Streams> => {
      const [healed, target] = [await own(sameShape(text.embedded)), await own(sameShape(text.embedded))];
      await copyStream(text.embedded, healed);
      await copyStream(text.embedded, target);
      return { healed, target };
    };
    const [training, validation] = [await open(stage.training), await open(stage.validation)];
    const both = [training, validation];
    const denseWeights = weightsOf(dense);
    const passDense = async (half: Half): Promise<void> => {
      for (const { target } of both) await passHalf(engine, sessions, half, denseWeights, [target, target]);
    };
    const passWhole = async (block: number): Promise<void> => passDense(blockGraphs(dense, block, length).whole);
    for (let block = 0; block < (matches[0]?.dense ?? 0); block++) await passWhole(block);

    const halves = matches.map((_, block) => blockGraphs(model, block, length).halves);
    const count = halves.flatMap((of, block) => of.filter((half) => parameters.tensors[block]!.some(readBy(half))));
    onProgress({
      kind: 'stage',
      stage: 'against the dense stream',
      total: count.length * settings.steps,
      unit: 'step',
    });
    const curves: HalfCurve[] = [];
    for (let block = 0; block < blocks; block++) {
      const { dense: of, removed } = matches[block]!;
      const denseHalves = blockGraphs(dense, of, length).halves;
      const trained = await parameters.open(block);
      for (const [at, half] of halves[block]!.entries()) {
        const reads = readBy(half);
        await passDense(denseHalves[at]!);
        const last = at === halves[block]!.length - 1;
        if (last) for (const gone of removed) await passWhole(gone);
        const own = trained.filter(({ tensor }) => reads(tensor));
        const weights = weightsOf(model, own);
        if (own.length > 0) {
          const what = half.name === 'block' ? `block ${block}` : `block ${block}, ${half.name}`;
          const problem = await problemOf(stage, sessions, half, own, weights, { training, validation });
          const curve = await train(
            { ...problem, what, diverges, parameters: own },
            { ...settings, path: halfPath(settings.path, block, half), onProgress },
          );
          curves.push({ block, half: half.name, ...curve });
        }
        for (const { healed } of both) await passHalf(engine, sessions, half, weights, [healed, healed]);
      }
    }
    return curves;
  });
}

/** An error as large as the stream itself is no progress, wherever it began. */
const diverges = (start: number): number => Math.max(1, 3 * start);

/** Whether a half reads a tensor. */
const readBy = ({ tensors }: Half): ((tensor: string) => boolean) => {
  const read = new Set(tensors.values());
  return (tensor) => read.has(tensor);
};

const halfPath = (folder: string, block: number, { name }: Half): string => `${folder}/block-${block}-${name}`;

/** The parameters as trainStream left them; `path` as in its settings. */
export function restoreStream(parameters: Parameters, model: Model, length: number, path: string): Parameters {
  return {
    ...parameters,
    open: async (block) => {
      const all = await parameters.open(block);
      for (const half of blockGraphs(model, block, length).halves) {
        const reads = readBy(half);
        const own = all.filter(({ tensor }) => reads(tensor));
        if (own.length > 0) await restoreTrained(halfPath(path, block, half), own);
      }
      return all;
    },
  };
}

async function problemOf(
  { engine, model, training: text, perStep, seed }: StreamStage,
  sessions: Sessions,
  half: Half,
  parameters: readonly Parameter[],
  weights: WeightsOf,
  { training, validation }: { readonly training: Streams; readonly validation: Streams },
) {
  const { length } = text.content;
  const { hidden } = model.config;
  const forward = streamLoss(half.graph, length, hidden);
  const trained = new Map(parameters.map(({ tensor }) => [tensor, roleOf(half, tensor)]));
  const backward = await sessions(
    differentiate(forward, { seeds: ['loss'], wrt: [...trained.values()], keep: ['loss'] }),
  );
  const loss = await sessions(keepOutputs(forward, ['loss']));
  const read = async ({ healed, target }: Streams, chunk: number) => ({
    x: chunkTensor(healed, chunk, await healed.read(chunk)),
    target: chunkTensor(target, chunk, await target.read(chunk)),
  });
  return {
    gradient: async (step: number) => {
      const chunks = chunksOfStep(step, perStep, training.healed.chunks.length, seed);
      const tensors = await tensorsOf(half, weights);
      const tokens = chunks.reduce((sum, chunk) => sum + training.healed.chunks[chunk]! * length, 0);
      let total = 0;
      const losses: number[] = [];
      const sums = await sumRuns(engine.workers, chunks.length, async (index) => {
        const chunk = chunks[index]!;
        const { loss, ...gradients } = await backward.run({
          ...tensors,
          ...(await read(training, chunk)),
          [cotangentOf('loss')]: seedsOf(training.healed.chunks[chunk]!, length, 1 / tokens),
        });
        losses[index] = sumOf(loss!);
        return gradients;
      });
      for (const one of losses) total += one;
      const gradients = new Map(parameters.map(({ tensor }) => [tensor, sums.get(gradientOf(trained.get(tensor)!))!]));
      return { loss: total / tokens, gradients };
    },
    validate: async () => {
      const tensors = await tensorsOf(half, weights);
      const { chunks } = validation.healed;
      const losses = await inParallel(engine.concurrency, chunks.length, async (chunk) =>
        sumOf((await loss.run({ ...tensors, ...(await read(validation, chunk)) })).loss!),
      );
      const tokens = chunks.reduce((a, b) => a + b, 0) * length;
      return losses.reduce((a, b) => a + b, 0) / tokens;
    },
  };
}

const seedsOf = (windows: number, length: number, value: number): HostTensor => ({
  type: 'f32',
  shape: [windows, length, 1],
  data: new Float32Array(windows * length).fill(value),
});

/** The sum of a tensor, in float64. */
function sumOf({ data }: HostTensor): number {
  let sum = 0;
  for (const value of data as Float32Array) sum += value;
  return sum;
}

/** The role of a tensor in a half's graph. */
export function roleOf({ tensors }: Half, tensor: string): string {
  for (const [role, name] of tensors) if (name === tensor) return role;
  throw new InternalError('E_INTERNAL_ROLE', `No role of ${tensor}; please report this.`, { tensor });
}
