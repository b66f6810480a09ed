// The mean loss of a text's tokens, and the share that the model finds likeliest (next-token top-1), from the residual after the
// last block. Every token of a window but the first is scored.

import { NumericError, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { headGraph, type Model } from '../model/index.js';
import { type Activations, type Content, countOf } from '../stream/index.js';
import { readOut } from './read-out.js';
import { headRows, scoredRows, startsOf, targetsOf } from './score.js';

export type Choices = { readonly nll: number; readonly accuracy: number; readonly tokens: number };

/** Scores a stream. @throws NumericError E_NUMERIC_LOSS */
export async function scoreChoices(
  engine: Engine,
  model: Model,
  stream: Activations,
  content: Content,
): Promise<Choices> {
  const firstOf = startsOf(stream.chunks);
  const { rows, T } = await withResources(async (own) => {
    const session = await own(engine.load(headGraph(model, 'choices')));
    const read = await readOut(own, engine, model, stream);
    const targets = async (chunk: number) => (row: number, count: number) => ({
      target: targetsOf(content, firstOf[chunk]!, row, count),
    });
    return { rows: await headRows(engine, model, session, ['nll', 'lead'], read, targets), T: read.length };
  });
  const scored = scoredRows({ length: T });
  const parts = rows.map(({ nll: losses, lead }) => {
    let [nll, right] = [0, 0];
    for (const [row, loss] of losses.entries()) {
      if (row % T >= scored) continue;
      nll += loss;
      if (lead[row] === 0) right++;
    }
    return { nll, right };
  });
  const tokens = countOf(content) * scored;
  const nll = parts.reduce((sum, part) => sum + part.nll, 0) / tokens;
  if (!Number.isFinite(nll)) {
    throw new NumericError('E_NUMERIC_LOSS', `The model's loss is ${nll}. Check the text and the checkpoint.`, { nll });
  }
  return { nll, accuracy: parts.reduce((sum, part) => sum + part.right, 0) / tokens, tokens };
}
