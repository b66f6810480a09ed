// The mean loss of a text's tokens, and the share that the model finds likeliest (next-token top-1), from the residual after the
// last block. Every token of a window but the first is scored, and of a dialogue every token of the answer.

import { NumericError, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { headGraph, type Model } from '../model/index.js';
import { type Activations, type Content, startsOf } from '../stream/index.js';
import { headRowsOf, scoredPlaces } from './read-out.js';
import { headRows, targetsOf } from './score.js';

export type Choices = { readonly nll: number; readonly accuracy: number; readonly tokens: number };

export type SampleChoices = Choices & {
  /** The mean loss of each sample, as `scoreSamples` has it. */
  readonly losses: readonly number[];
  /** Samples of which every scored token is the likeliest: of an answer, those that a greedy text has word for word. */
  readonly whole: number;
};

/** Scores a stream. @throws NumericError E_NUMERIC_LOSS */
export async function scoreChoices(
  engine: Engine,
  model: Model,
  stream: Activations,
  content: Content,
): Promise<SampleChoices> {
  const { rows, read, firstOf } = await withResources(async (own) => {
    const { reader, rows: read } = await headRowsOf(own, engine, model, stream, content);
    const session = await own(engine.load(headGraph(reader, 'choices')));
    const firstOf = startsOf(read.chunks);
    const targets = async (chunk: number) => (row: number, count: number) => ({
      target: targetsOf(content, firstOf[chunk]!, row, count),
    });
    return { rows: await headRows(engine, reader, session, ['nll', 'lead'], read, targets), read, firstOf };
  });
  const scored = scoredPlaces(content, read.length);
  const parts = rows.map(({ nll: losses, lead }, chunk) => {
    let [nll, right, count, whole] = [0, 0, 0, 0];
    const means: number[] = [];
    for (let w = 0; w < read.chunks[chunk]!; w++) {
      const places = scored(firstOf[chunk]! + w);
      const before = right;
      let sum = 0;
      for (let i = 0; i < places.length; i++) {
        const row = w * read.length + places[i]!;
        nll += losses[row]!;
        sum += losses[row]!;
        if (lead[row] === 0) right++;
      }
      count += places.length;
      means.push(sum / places.length);
      if (right - before === places.length) whole++;
    }
    return { nll, right, count, whole, means };
  });
  const tokens = parts.reduce((sum, part) => sum + part.count, 0);
  const nll = parts.reduce((sum, part) => sum + part.nll, 0) / tokens;
  if (!Number.isFinite(nll)) {
    throw new NumericError('E_NUMERIC_LOSS', `The model's loss is ${nll}. Check the text and the checkpoint.`, { nll });
  }
  const sum = (of: 'right' | 'whole'): number => parts.reduce((before, part) => before + part[of], 0);
  return {
    nll,
    accuracy: sum('right') / tokens,
    tokens,
    whole: sum('whole'),
    losses: parts.flatMap(({ means }) => means),
  };
}
