// What the experts of a mixture did on a text: how many tokens each was given, what it contributed, and how alike the router
// finds them (model/expert-graph.ts). One pass of the dense model; a block is loaded once and gives its sums and its output.
// Runs are added in the order of the chunks, in double precision, so threads change nothing.

import { NumericError, type OnProgress, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { EXPERT_SUMS, expertGraph, type Model, TOKENS_PER_EXPERT } from '../model/index.js';
import type { ExpertSums } from '../plan/index.js';
import { passBlock, runChunk, type Samples, sameShape } from '../stream/index.js';
import { sumInDouble } from './squares.js';

/** The sums of each block's experts; null where a block has none. @throws NumericError E_NUMERIC_EXPERTS */
export async function measureExperts(
  engine: Engine,
  model: Model,
  text: Samples,
  onProgress: OnProgress,
): Promise<(ExpertSums | null)[]> {
  const { blocks, mixtures } = model.config;
  const last = mixtures.findLastIndex((mixture) => mixture !== undefined);
  return await withResources(async (own) => {
    const stream = await own(sameShape(text.embedded));
    let from = text.embedded;
    const found: (ExpertSums | null)[] = mixtures.map(() => null);
    for (let block = 0; block <= last; block++) {
      if (mixtures[block]) found[block] = await measureBlock(engine, model, block, { from, to: stream });
      else await passBlock(engine, model, block, [[from, stream]]);
      from = stream;
      onProgress({ kind: 'advance', detail: `block ${block + 1} of ${blocks}` });
    }
    return found;
  });
}

type Stores = { readonly from: Samples['embedded']; readonly to: Samples['embedded'] };

async function measureBlock(engine: Engine, model: Model, block: number, { from, to }: Stores): Promise<ExpertSums> {
  const sums = await withResources(async (own) => {
    const session = await own(engine.load(expertGraph(model, block, from.length)));
    return await sumInDouble(engine, from, async (chunk) => {
      const { y, ...outputs } = await runChunk(session, from, chunk);
      await to.write(chunk, y!.data as Float32Array);
      return outputs;
    });
  });
  const read = (name: string): number[] => {
    const values = [...sums[name]!];
    if (values.every(Number.isFinite)) return values;
    const message = `What the experts of block ${block} give is not finite. Check the checkpoint and the calibration text.`;
    throw new NumericError('E_NUMERIC_EXPERTS', message, { block });
  };
  return {
    tokens: read(TOKENS_PER_EXPERT),
    contribution: read(EXPERT_SUMS.contribution),
    agreement: read(EXPERT_SUMS.agreement),
  };
}
