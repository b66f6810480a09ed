// What the edited models of a run are compared with: the dense model on one text, the test text if there is one, else the
// validation text. Its last residual is computed when it is first needed and kept for all of them, in memory or in a scratch
// file (stream/activations.ts); so each edited model costs one pass over its windows, which scoring needs anyway.

import { type OnProgress, type Own, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { compareStreams, summariseFidelity } from '../evaluate/index.js';
import type { Model } from '../model/index.js';
import { runBlockFiles } from '../pipeline/index.js';
import type { Fidelity } from '../records/index.js';
import { type Activations, embedText } from '../stream/index.js';
import type { Windows } from '../text/index.js';
import { type GreedyTexts, type Parting, partingOf, writeDenseTexts } from './greedy.js';
import type { PreparedText, PreparedTexts } from './texts.js';
import type { Workspace } from './workspace.js';

export type DenseReference = {
  readonly text: 'validation' | 'test';
  readonly prepared: PreparedText;
  /** The dense model's residual after the last block. */
  residual(): Promise<Activations>;
  /** Its greedy texts; undefined where there are none. */
  greedy(): Promise<GreedyTexts | undefined>;
  /** The dense model's residual on the greedy texts. */
  greedyResidual(): Promise<Activations>;
};

export type ReferenceContext = {
  readonly engine: Engine;
  readonly model: Model;
  readonly workspace: Workspace;
  readonly threads: number;
  readonly greedyTokens: number;
  readonly onProgress: OnProgress;
};

/** The reference of a run; undefined without test and validation text. The scope that `own` belongs to closes it. */
export function openReference(own: Own, context: ReferenceContext, texts: PreparedTexts): DenseReference | undefined {
  const text = texts.test ? 'test' : 'validation';
  const prepared = texts[text];
  if (!prepared) return undefined;
  const { engine, model, workspace, greedyTokens, onProgress } = context;
  const residualOf = (windows: Windows): Promise<Activations> =>
    withResources(async (forText) => {
      onProgress({ kind: 'stage', stage: `${text}: dense`, total: model.config.blocks });
      const embedded = await embedText(forText, model, { windows });
      return await own(runBlockFiles(engine, model, undefined, embedded, onProgress));
    });
  const greedy = once(() =>
    workspace.step('greedy-dense', async () => {
      const written = await writeDenseTexts(model, prepared.windows, greedyTokens, context);
      return written ? { ...written, windows: written.windows.windows.map((window) => [...window]) } : null;
    }),
  );
  const greedyTexts = async (): Promise<GreedyTexts | undefined> => {
    const written = await greedy();
    if (!written) return undefined;
    const { prompt, tokens, windows } = written;
    return {
      prompt,
      tokens,
      windows: { length: prompt + tokens, windows: windows.map((one) => Int32Array.from(one)) },
    };
  };
  return {
    text,
    prepared,
    residual: once(() => residualOf(prepared.windows)),
    greedy: greedyTexts,
    greedyResidual: once(async () => await residualOf((await greedyTexts())!.windows)),
  };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** A comparison, with what is needed to write down the text that parts first. */
export type Compared = Fidelity & { readonly first: Parting | null };

/**
 * Compares a model with the reference. `stream` is its residual on the reference's text; `run` makes its residual on other
 * windows. It must have the head of `model`.
 */
export async function compareWithDense(
  { engine, model }: Pick<ReferenceContext, 'engine' | 'model'>,
  reference: DenseReference,
  stream: Activations,
  run: (own: Own, windows: Windows) => Promise<Activations>,
): Promise<Compared> {
  const summary = summariseFidelity(await compareStreams(engine, model, stream, await reference.residual()));
  const texts = await reference.greedy();
  if (!texts) return { text: reference.text, ...summary, greedy: null, first: null };
  const tokens = await withResources(async (own) =>
    compareStreams(engine, model, await run(own, texts.windows), await reference.greedyResidual()),
  );
  const { first = null, ...greedy } = partingOf(texts, tokens);
  return { text: reference.text, ...summary, greedy: { ...greedy, worst: null }, first };
}
