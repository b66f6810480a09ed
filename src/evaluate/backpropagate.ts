// Gradients of a loss over a text, through the whole model with one block resident. The forward pass keeps the residual before
// each block; the backward pass visits the blocks last to first, and each run computes its block again (checkpointing). So
// memory is one block, its gradients, and the residuals, which go to disk beyond a budget. A block or half of one can also be
// taken alone, with the residual that it should give.

import { NumericError, OptionError, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import {
  cotangentOf,
  differentiate,
  ERROR,
  type Graph,
  gradientOf,
  meanSquares,
  squaredError,
  squaresOf,
  sumSquares,
  TARGET,
} from '../graph/index.js';
import { type BlockPart, type BlockSource, type Model, partGraph } from '../model/index.js';
import { type Activations, chunkTensor, createActivations, inOrder, type Text } from '../stream/index.js';
import { createSum, type Gradients } from './gradient-sums.js';
import { differentiateLoss, type Objective } from './head-gradients.js';
import { createSessions, type Weights } from './sessions.js';

export type BackwardOptions = {
  /** Where a block's stored tensors come from. Defaults to the checkpoint. */
  readonly source?: (block: number) => BlockSource;
  /** Keep the sessions of all blocks until `close`: faster over many calls, for small models. Defaults to one at a time. */
  readonly hold?: boolean;
};

/** A block's number, or the head. */
export type Place = number | 'head';

export type PassOptions = {
  readonly loss: Objective;
  /** Names of tensors whose gradients are wanted. Blocks below the first that has any are only run forward. */
  readonly wrt: (place: Place) => readonly string[];
  /** Values of tensors that take the place of the stored ones. */
  readonly weights?: (place: Place) => Weights;
  /** Is given the gradients, those of the head first, then those of the blocks, last to first. The arrays are the caller's. */
  readonly onGradients: (place: Place, gradients: Gradients) => void | Promise<void>;
  /** Receives the gradient of the embedded text. */
  readonly input?: Activations;
  /**
   * Instead of a block tensor's gradient, Σ of its squares, [1], of each chunk by itself, added up over chunks. The loss
   * stays the mean over all chunks.
   */
  readonly squares?: boolean;
  /** What is wanted of each token. Every block is then differentiated. */
  readonly tokens?: TokenGradients;
};

/** Mean squares of the gradients of values inside the blocks, token by token. */
export type TokenGradients = {
  /** Names of values [tokens, width] in a block's graph, in groups: each gets one mean. */
  readonly groups: (block: number, graph: Graph) => ReadonlyMap<string, readonly string[]>;
  /** Is given the means of a chunk's tokens by group, chunks in order, blocks last to first. The arrays are the caller's. */
  readonly onMeans: (block: number, chunk: number, means: ReadonlyMap<string, Float32Array>) => void | Promise<void>;
};

/** A block or half of one, over a residual. */
export type PartAt = {
  readonly block: number;
  readonly part: BlockPart;
  readonly from: Activations;
  readonly weights?: Weights;
};

export interface Backward {
  /**
   * The loss over a text, and its gradients.
   * @throws OptionError E_OPTION_GRADIENT where no gradient is asked for, NumericError E_NUMERIC_LOSS where the loss is not
   * a number
   */
  pass(text: Text, options: PassOptions): Promise<number>;
  /** The mean square of what a part's output is off `target`, and the gradients. @throws NumericError E_NUMERIC_LOSS */
  fit(
    at: PartAt & { readonly target: Activations; readonly wrt: readonly string[] },
  ): Promise<{ readonly loss: number; readonly gradients: Gradients }>;
  /** Runs a part forward, `from` → `to`, which may be the same store. */
  forward(at: PartAt & { readonly to: Activations }): Promise<void>;
  close(): Promise<void>;
}

/** Bytes of all residuals together that stay in memory. */
const RESIDUAL_MEMORY = 1 << 30;

const none: Weights = new Map();

/** Gradients of `model` by `engine`. Every sum is taken over chunks in their order: results do not depend on threads. */
export function createBackward(engine: Engine, model: Model, { source, hold = false }: BackwardOptions = {}): Backward {
  const { blocks } = model.config;
  const sessions = createSessions(engine, hold);
  const graphOf = (block: number, part: BlockPart, length: number): Graph =>
    partGraph(model, block, part, { length, ...(source ? { source: source(block) } : {}) });

  const forward: Backward['forward'] = async ({ block, part, from, to, weights = none }) => {
    const { length, chunks } = from;
    const make = () => graphOf(block, part, length);
    await sessions.use(`${block} ${part} ${length}`, weights, make, (run) =>
      inOrder(
        engine.concurrency,
        chunks.length,
        async (chunk) => {
          const { y } = await run({ x: chunkTensor(from, chunk, await from.read(chunk)) });
          await to.write(chunk, y!.data as Float32Array);
        },
        () => {},
      ),
    );
  };

  /** Takes the gradient of a block's output to its input (where `to` is given) and to its tensors. */
  const backward = async (
    block: number,
    names: readonly string[],
    weights: Weights,
    { from, cotangents, to }: { from: Activations; cotangents: Activations; to: Activations | undefined },
    squares: boolean,
    tokens: TokenGradients | undefined,
  ): Promise<Gradients> => {
    const stored = graphOf(block, 'block', from.length);
    const groups = tokens?.groups(block, stored);
    const inner = groups ? [...groups.values()].flat() : [];
    const wrt = [...(to ? ['x'] : []), ...names, ...inner];
    const make = (): Graph => {
      const graph = differentiate(stored, { seeds: ['y'], wrt });
      const summed = squares ? sumSquares(graph, names.map(gradientOf)) : graph;
      if (!groups) return summed;
      return meanSquares(summed, new Map([...groups].map(([group, values]) => [group, values.map(gradientOf)])));
    };
    const outputOf = (name: string): string => (squares ? squaresOf(gradientOf(name)) : gradientOf(name));
    const { add, sums } = createSum(names, outputOf);
    let chunks = 0;
    const key = `${block} ${squares ? 'squares' : 'backward'} ${from.length} ${wrt.join()}`;
    await sessions.use(key, weights, make, (run) =>
      inOrder(
        engine.concurrency,
        from.chunks.length,
        async (chunk) => {
          const outputs = await run({
            x: chunkTensor(from, chunk, await from.read(chunk)),
            [cotangentOf('y')]: chunkTensor(from, chunk, await cotangents.read(chunk)),
          });
          await to?.write(chunk, outputs[gradientOf('x')]!.data as Float32Array);
          return outputs;
        },
        async (outputs) => {
          add(outputs);
          const chunk = chunks++;
          if (!groups) return;
          const means = [...groups.keys()].map((group) => [group, outputs[group]!.data as Float32Array] as const);
          await tokens!.onMeans(block, chunk, new Map(means));
        },
      ),
    );
    return sums;
  };

  return {
    forward,
    pass: async (text, { loss: objective, wrt, weights = () => none, onGradients, input, squares = false, tokens }) => {
      const names = Array.from({ length: blocks }, (_, block) => wrt(block));
      const found = input || tokens ? 0 : names.findIndex((some) => some.length > 0);
      const lowest = found < 0 ? blocks : found;
      if (lowest === blocks && wrt('head').length === 0) {
        throw new OptionError(
          'E_OPTION_GRADIENT',
          'No gradient is asked for. Name a tensor of a block or of the head.',
        );
      }
      const { chunks, length, width } = text.embedded;
      return await withResources(async (own) => {
        const open = () => own(createActivations(chunks, length, width, RESIDUAL_MEMORY / (blocks + 2)));
        // The residuals before blocks `lowest`, `lowest` + 1, …; below, each takes the place of the one before.
        const residuals = [text.embedded];
        for (let block = 0; block < blocks; block++) {
          const from = residuals.at(-1)!;
          const to = block < lowest && from !== text.embedded ? from : await open();
          await forward({ block, part: 'block', from, to, weights: weights(block) });
          if (block < lowest) residuals[0] = to;
          else residuals.push(to);
        }
        const last = residuals.pop()!;
        const cotangents = lowest < blocks ? await open() : undefined;
        const { loss, gradients } = await differentiateLoss(engine, model, sessions, {
          ...{ objective, last, cotangents, windows: text.content },
          ...{ weights: weights('head'), wrt: wrt('head') },
        });
        requireFinite(loss);
        await onGradients('head', gradients);
        for (let block = blocks - 1; block >= lowest; block--) {
          const streams = { from: residuals.pop()!, cotangents: cotangents!, to: block > lowest ? cotangents : input };
          await onGradients(block, await backward(block, names[block]!, weights(block), streams, squares, tokens));
        }
        return loss;
      });
    },
    fit: async ({ block, part, from, target, wrt, weights = none }) => {
      const { length, chunks, width } = from;
      const weight = 1 / (chunks.reduce((a, b) => a + b, 0) * length * width);
      const make = () =>
        differentiate(squaredError(graphOf(block, part, length), 'y'), { seeds: [ERROR], wrt, keep: [ERROR] });
      const { add, sums } = createSum(wrt, gradientOf);
      let loss = 0;
      await sessions.use(`${block} ${part} fit ${length} ${wrt.join()}`, weights, make, (run) =>
        inOrder(
          engine.concurrency,
          chunks.length,
          async (chunk) => {
            const shape = [chunks[chunk]!, length, 1];
            const scored = new Float32Array(chunks[chunk]! * length).fill(weight);
            return await run({
              x: chunkTensor(from, chunk, await from.read(chunk)),
              [TARGET]: chunkTensor(target, chunk, await target.read(chunk)),
              [cotangentOf(ERROR)]: { type: 'f32', shape, data: scored },
            });
          },
          (outputs) => {
            for (const error of outputs[ERROR]!.data as Float32Array) loss += error * weight;
            add(outputs);
          },
        ),
      );
      requireFinite(loss);
      return { loss, gradients: sums };
    },
    close: () => sessions.close(),
  };
}

function requireFinite(loss: number): void {
  if (Number.isFinite(loss)) return;
  throw new NumericError(
    'E_NUMERIC_LOSS',
    `The loss is ${loss}. Check the text and the weights; in training, take a lower learning rate.`,
    { loss },
  );
}
