// The end of a pass: the loss from the residual after the last block, its gradient with respect to that residual, and those of
// the head's tensors. The head runs on as many rows at a time as its logits allow.

import type { Engine, HostTensor } from '../engine/index.js';
import { cotangentOf, differentiate, gradientOf } from '../graph/index.js';
import { headGraph, type Model } from '../model/index.js';
import { type Activations, inOrder, startsOf } from '../stream/index.js';
import type { Windows } from '../text/index.js';
import { createSum, type Gradients } from './gradient-sums.js';
import { LOGITS_PER_RUN, nextTokens, slabOf } from './score.js';
import type { Sessions, Weights } from './sessions.js';

/**
 * `nll`: the mean negative log-likelihood of the tokens of all windows but the first of each. `divergence`: the mean over the
 * same positions of KL(reference ‖ model), where `reference` is another residual after the last block, read by the stored
 * head. `stream`: the mean square of the difference between the residual after the last block and `target`.
 */
export type Objective =
  | { readonly kind: 'nll' }
  | { readonly kind: 'divergence'; readonly reference: Activations }
  | { readonly kind: 'stream'; readonly target: Activations };

export type LossOptions = {
  readonly objective: Objective;
  readonly windows: Windows;
  /** The residual after the last block. */
  readonly last: Activations;
  /** Receives its gradient; undefined where no block's is wanted. */
  readonly cotangents: Activations | undefined;
  readonly weights: Weights;
  /** The head's tensors whose gradients are wanted. */
  readonly wrt: readonly string[];
};

/** The logits that a run of the head makes; backwards there are a few values for each. */
const LOGITS = LOGITS_PER_RUN / 4;

export async function differentiateLoss(
  engine: Engine,
  model: Model,
  sessions: Sessions,
  options: LossOptions,
): Promise<{ readonly loss: number; readonly gradients: Gradients }> {
  const { objective, last, cotangents } = options;
  if (objective.kind === 'stream') {
    const loss = await streamLoss(last, objective.target, cotangents);
    return { loss, gradients: new Map() };
  }
  return await headLoss(engine, model, sessions, objective, options);
}

/** Mean square of the difference, and 2·(y − target)/n as its gradient. */
async function streamLoss(
  last: Activations,
  target: Activations,
  cotangents: Activations | undefined,
): Promise<number> {
  const count = last.chunks.reduce((a, b) => a + b, 0) * last.length * last.width;
  let sum = 0;
  for (let chunk = 0; chunk < last.chunks.length; chunk++) {
    const [y, wanted] = [await last.read(chunk), await target.read(chunk)];
    const gradient = new Float32Array(y.length);
    for (let i = 0; i < y.length; i++) {
      const difference = y[i]! - wanted[i]!;
      sum += difference * difference;
      gradient[i] = (2 * difference) / count;
    }
    await cotangents?.write(chunk, gradient);
  }
  return sum / count;
}

async function headLoss(
  engine: Engine,
  model: Model,
  sessions: Sessions,
  objective: Exclude<Objective, { kind: 'stream' }>,
  { windows, last, cotangents, weights, wrt }: LossOptions,
): Promise<{ readonly loss: number; readonly gradients: Gradients }> {
  const { kind } = objective;
  const { chunks, length: T, width: D } = last;
  const firstOf = startsOf(chunks);
  const weight = 1 / (chunks.reduce((a, b) => a + b, 0) * (T - 1));
  const rowsPerRun = Math.max(1, Math.floor(LOGITS / model.config.vocabulary));
  const all = [...(cotangents ? ['x'] : []), ...wrt];
  // What is fed or differentiated is the model's head; the reference is read by the stored one.
  const referenceApart = wrt.length > 0 || weights.size > 0;
  const make = () =>
    differentiate(headGraph(model, kind, { referenceApart }), { seeds: [kind], wrt: all, keep: [kind] });
  const { add, sums } = createSum(wrt, gradientOf);
  let loss = 0;
  await sessions.use(`head ${kind} ${all.join()}`, weights, make, (run) =>
    inOrder(
      engine.concurrency,
      chunks.length,
      async (chunk) => {
        const data = await last.read(chunk);
        const reference = kind === 'divergence' ? await objective.reference.read(chunk) : undefined;
        const rows = chunks[chunk]! * T;
        const back = new Float32Array(rows * D);
        const parts: Record<string, HostTensor>[] = [];
        let sum = 0;
        for (let row = 0; row < rows; row += rowsPerRun) {
          const count = Math.min(rowsPerRun, rows - row);
          // What follows a window's last token is not in the window.
          const scored = Float32Array.from({ length: count }, (_, r) => ((row + r) % T < T - 1 ? weight : 0));
          const outputs = await run({
            x: slabOf(data, D, row, count),
            ...(reference
              ? { reference: slabOf(reference, D, row, count) }
              : { target: nextTokens(windows, firstOf[chunk]!, row, count) }),
            [cotangentOf(kind)]: { type: 'f32', shape: [count, 1], data: scored },
          });
          const losses = outputs[kind]!.data as Float32Array;
          for (let r = 0; r < count; r++) if (scored[r] !== 0) sum += losses[r]! * weight;
          if (cotangents) back.set(outputs[gradientOf('x')]!.data as Float32Array, row * D);
          parts.push(outputs);
        }
        await cotangents?.write(chunk, back);
        return { sum, parts };
      },
      ({ sum, parts }) => {
        loss += sum;
        for (const part of parts) add(part);
      },
    ),
  );
  return { loss, gradients: sums };
}
