// The mean loss of a text's tokens, and the share that the model finds likeliest (next-token top-1), from the residual after the
// last block. Every token of a window but the first is scored.

import { NumericError, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { headGraph, type Model } from '../model/index.js';
import type { Activations } from '../stream/index.js';
import type { Windows } from '../text/index.js';
import { headRows, nextTokens, startsOf } from './score.js';

export type Choices = { readonly nll: number; readonly accuracy: number; readonly tokens: number };

/** Scores a stream. @throws NumericError E_NUMERIC_LOSS */
export async function scoreChoices(
  engine: Engine,
  model: Model,
  stream: Activations,
  windows: Windows,
): Promise<Choices> {
  const { length: T, chunks } = stream;
  const firstOf = startsOf(chunks);
  const rows = await withResources(async (own) => {
    const session = await own(engine.load(headGraph(model, 'choices')));
    return await headRows(engine, model, session, ['nll', 'lead'], stream, async (chunk) => (row, count) => ({
      target: nextTokens(windows, firstOf[chunk]!, row, count),
    }));
  });
  const parts = rows.map(({ nll: losses, lead }) => {
    let [nll, right] = [0, 0];
    for (const [row, loss] of losses.entries()) {
      if (row % T === T - 1) continue;
      nll += loss;
      if (lead[row] === 0) right++;
    }
    return { nll, right };
  });
  const tokens = chunks.reduce((a, b) => a + b, 0) * (T - 1);
  const nll = parts.reduce((sum, part) => sum + part.nll, 0) / tokens;
  if (!Number.isFinite(nll)) {
    throw new NumericError('E_NUMERIC_LOSS', `The model's loss is ${nll}. Check the text and the checkpoint.`, { nll });
  }
  return { nll, accuracy: parts.reduce((sum, part) => sum + part.right, 0) / tokens, tokens };
}
