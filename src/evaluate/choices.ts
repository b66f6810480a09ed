// The mean loss of a text's tokens, and the share that the model finds likeliest (next-token top-1), from the residual after the
// last block. Every token of a window but the first is scored.

import { NumericError, withResources } from '../base/index.js';
import type { Engine, HostTensor } from '../engine/index.js';
import { headGraph, type Model } from '../model/index.js';
import { type Activations, inParallel } from '../stream/index.js';
import type { Windows } from '../text/index.js';
import { LOGITS_PER_RUN, nextToken, startsOf } from './score.js';

export type Choices = { readonly nll: number; readonly accuracy: number; readonly tokens: number };

/** Scores a stream. @throws NumericError E_NUMERIC_LOSS */
export async function scoreChoices(
  engine: Engine,
  model: Model,
  stream: Activations,
  windows: Windows,
): Promise<Choices> {
  const { length: T, width: D, chunks } = stream;
  const firstOf = startsOf(chunks);
  const perRun = Math.max(1, Math.floor(LOGITS_PER_RUN / model.config.vocabulary));
  const parts = await withResources(async (own) => {
    const session = await own(engine.load(headGraph(model, 'choices')));
    return await inParallel(engine.concurrency, chunks.length, async (chunk) => {
      const data = await stream.read(chunk);
      const rows = chunks[chunk]! * T;
      let [nll, right] = [0, 0];
      for (let row = 0; row < rows; row += perRun) {
        const count = Math.min(perRun, rows - row);
        const x: HostTensor = { type: 'f32', shape: [count, D], data: data.slice(row * D, (row + count) * D) };
        const target = new BigInt64Array(count);
        for (let r = 0; r < count; r++) target[r] = BigInt(nextToken(windows, firstOf[chunk]!, row + r));
        const made = await session.run({ x, target: { type: 'i64', shape: [count, 1], data: target } }, true);
        const [losses, leads] = [made.nll!.data as Float32Array, made.lead!.data as Float32Array];
        for (let r = 0; r < count; r++) {
          if ((row + r) % T === T - 1) continue;
          nll += losses[r]!;
          if (leads[r] === 0) right++;
        }
      }
      return { nll, right };
    });
  });
  const tokens = chunks.reduce((a, b) => a + b, 0) * (T - 1);
  const nll = parts.reduce((sum, part) => sum + part.nll, 0) / tokens;
  if (!Number.isFinite(nll)) {
    throw new NumericError('E_NUMERIC_LOSS', `The model's loss is ${nll}. Check the text and the checkpoint.`, { nll });
  }
  return { nll, accuracy: parts.reduce((sum, part) => sum + part.right, 0) / tokens, tokens };
}
