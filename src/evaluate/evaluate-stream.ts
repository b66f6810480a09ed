// A model's scores on samples, for a record, from the residual after the last block. Of images also where each label comes among the
// classes, from which top-1, top-5 and paired tests follow.

import { NumericError, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { headGraph, type Model } from '../model/index.js';
import type { Evaluation } from '../records/index.js';
import { type Activations, type Content, type Images, scoringOf, startsOf } from '../stream/index.js';
import { normaliser } from './fidelity.js';
import { summarise } from './perplexity.js';
import { readOut } from './read-out.js';
import { LOGITS_PER_RUN, requireLabels, scoreSamples, slabOf } from './score.js';

/** @throws NumericError E_NUMERIC_LOSS; OptionError E_OPTION_LABELS for images without labels */
export async function evaluateStream(
  engine: Engine,
  model: Model,
  stream: Activations,
  content: Content,
): Promise<Evaluation> {
  if ('pixels' in content) return await rankImages(engine, model, stream, content);
  return summarise(await scoreSamples(engine, model, stream, content), scoringOf(content));
}

async function rankImages(engine: Engine, model: Model, stream: Activations, images: Images): Promise<Evaluation> {
  const labels = requireLabels(images);
  const [nll, ranks] = [new Array<number>(labels.length), new Array<number>(labels.length)];
  await withResources(async (own) => {
    const rows = await readOut(own, engine, model, stream);
    const session = await own(engine.load(headGraph(model, 'logits')));
    const most = Math.max(1, Math.floor(LOGITS_PER_RUN / model.config.vocabulary));
    const firsts = startsOf(rows.chunks);
    for (const [chunk, count] of rows.chunks.entries()) {
      const data = await rows.read(chunk);
      for (let row = 0; row < count; row += most) {
        const taken = Math.min(most, count - row);
        const { logits } = await session.run({ x: slabOf(data, rows.width, row, taken) }, true);
        const values = logits!.data as Float32Array;
        const V = values.length / taken;
        for (let r = 0; r < taken; r++) {
          const at = firsts[chunk]! + row + r;
          [nll[at], ranks[at]] = placeOf(values.subarray(r * V, (r + 1) * V), labels[at]!);
        }
      }
    }
  });
  const bad = nll.findIndex((loss) => !Number.isFinite(loss));
  if (bad >= 0) {
    const message = `The model's loss on image ${bad} is ${nll[bad]}. Check the image and the checkpoint.`;
    throw new NumericError('E_NUMERIC_LOSS', message, { image: bad });
  }
  return { ...summarise(nll, scoringOf(images)), ranks };
}

/** −log p of a class, and how many come before it: those with a larger logit, and of equals those with a lower number. */
function placeOf(logits: Float32Array, label: number): [nll: number, rank: number] {
  const own = logits[label]!;
  let rank = 0;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > own || (logits[i] === own && i < label)) rank++;
  return [normaliser(logits).log - own, rank];
}
