// Scores the finished model once, on the test text and on the tasks, and compares it with the dense model; none of it
// influences any choice. Each score is its own step, so an interrupted run does not repeat it.
// The comparison is on the test text if there is one, else on the validation text. The dense model's last residual is computed
// when it is first needed and kept for all models, in memory or in a scratch file (stream/activations.ts); so each model costs
// one pass over the windows, which scoring needs anyway.

import { type OnProgress, type Own, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { compareStreams, evaluateStream, summariseFidelity } from '../evaluate/index.js';
import {
  continueCheckpoint,
  describeParting,
  type GreedyTexts,
  type Parting,
  partingOf,
  writeDenseTexts,
} from '../generation/index.js';
import type { Model } from '../model/index.js';
import { runBlockFiles } from '../pipeline/index.js';
import type { Evaluation, Fidelity, TaskScores } from '../records/index.js';
import { type Activations, type Content, embedSamples } from '../stream/index.js';
import type { Windows } from '../text/index.js';
import { scoresOf } from '../zeroshot/index.js';
import type { RunSettings } from './settings.js';
import { type PreparedTasks, scoreTasks } from './tasks.js';
import type { Prepared, PreparedTexts } from './texts.js';
import type { Workspace } from './workspace.js';

export type FinalScores = {
  readonly test: Evaluation | null;
  readonly tasks?: TaskScores;
  /** Absent for the dense model, and without text. */
  readonly compared?: Compared;
};

/** The scores of a model that was not scored. */
export const UNSCORED: FinalScores = { test: null };

/** The losses on a text with the block files in `dir`, or the checkpoint's blocks without. `stage` names the progress. */
export function scoreText(
  engine: Engine,
  model: Model,
  dir: string | undefined,
  prepared: Prepared,
  stage: string,
  onProgress: OnProgress,
): Promise<Evaluation> {
  return withResources(async (own) => {
    onProgress({ kind: 'stage', stage, total: model.config.blocks });
    const text = await embedSamples(own, engine, model, prepared.content);
    const stream = await own(runBlockFiles(engine, model, dir, text, onProgress));
    return await evaluateStream(engine, model, stream, text.content);
  });
}

/** Where a run scores its models. */
export type ScoringContext = {
  readonly engine: Engine;
  readonly workspace: Workspace;
  /** The dense model, whose head all models of the run share. */
  readonly model: Model;
  readonly reference: DenseReference | undefined;
};

/** Scores the block files in `dir`, or the dense model without. */
export async function scoreFinal(
  context: ScoringContext,
  tasks: PreparedTasks | undefined,
  { onProgress }: Pick<RunSettings, 'onProgress'>,
  name: string,
  dir: string | undefined,
): Promise<FinalScores> {
  const { engine, workspace, model } = context;
  const accuracy = async (): Promise<TaskScores> =>
    scoresOf(await scoreTasks(engine, model, dir, tasks!, `tasks: ${name}`, onProgress), tasks!.settings.suite);
  const edited = dir === undefined ? undefined : model;
  const losses = context.reference?.text === 'test';
  const { evaluation, compared } = await scoreAgainst(context, edited, dir, { name, losses, onProgress });
  return {
    test: evaluation,
    ...(compared ? { compared } : {}),
    ...(tasks ? { tasks: await workspace.step(`tasks-${name}`, accuracy) } : {}),
  };
}

/**
 * The losses on the reference's text, if they are asked for, and the comparison with the dense model, from one pass. `edited`
 * runs with the block files in `dir`, or its own blocks without; undefined is the dense model.
 */
export async function scoreAgainst(
  { engine, workspace, model, reference }: ScoringContext,
  edited: Model | undefined,
  dir: string | undefined,
  options: { readonly name: string; readonly losses: boolean; readonly onProgress: OnProgress },
): Promise<{ readonly evaluation: Evaluation | null; readonly compared?: Compared }> {
  if (!reference) return { evaluation: null };
  const { name, onProgress } = options;
  const { text, prepared } = reference;
  const { content: windows } = prepared;
  return await withResources(async (own) => {
    const run = async (forText: Own, some: Content, stage: string): Promise<Activations> => {
      onProgress({ kind: 'stage', stage, total: edited!.config.blocks });
      const embedded = await embedSamples(forText, engine, edited!, some);
      return await forText(runBlockFiles(engine, edited!, dir, embedded, onProgress));
    };
    const begin = (): ReturnType<DenseReference['residual']> => {
      if (!edited) return reference.residual();
      return run(own, windows, `${text}: ${name}`);
    };
    let begun: ReturnType<typeof begin> | undefined;
    const stream = (): ReturnType<typeof begin> => {
      begun ??= begin();
      return begun;
    };
    const losses = async (): Promise<Evaluation> => await evaluateStream(engine, model, await stream(), windows);
    return {
      evaluation: options.losses ? await workspace.step(`${text}-${name}`, losses) : null,
      ...(edited
        ? {
            compared: await workspace.step(`fidelity-${name}`, async () =>
              compareWithDense({ engine, model }, reference, await stream(), (forText, texts) =>
                run(forText, texts, `greedy texts: ${name}`),
              ),
            ),
          }
        : {}),
    };
  });
}

/** A comparison for a record. With `written`, the finished checkpoint, it holds the text that parts first. */
export async function fidelityOf(
  { workspace, reference }: Pick<ScoringContext, 'workspace' | 'reference'>,
  compared: Compared | undefined,
  written?: { readonly model: Model; readonly settings: Pick<RunSettings, 'threads' | 'onProgress'> },
): Promise<{ readonly fidelity?: Fidelity }> {
  if (!compared) return {};
  const { first, ...fidelity } = compared;
  const { greedy } = fidelity;
  if (!greedy || !first || !written) return { fidelity };
  const { model, settings } = written;
  const texts = (await reference!.greedy())!;
  const worst = await workspace.step('greedy-worst', () =>
    describeParting(texts, first, model.checkpoint.dir, continueCheckpoint(model, settings)),
  );
  return { fidelity: { ...fidelity, greedy: { ...greedy, worst } } };
}

/** The dense model that the models of a run are compared with. */
export type DenseReference = {
  readonly text: 'validation' | 'test';
  readonly prepared: Prepared;
  /** The dense model's residual after the last block. */
  residual(): Promise<Activations>;
  /** Its greedy texts; undefined where there are none. */
  greedy(): Promise<GreedyTexts | undefined>;
  /** The dense model's residual on the greedy texts. */
  greedyResidual(): Promise<Activations>;
};

type ReferenceContext = {
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
  const residualOf = (windows: Content, stage: string): Promise<Activations> =>
    withResources(async (forText) => {
      onProgress({ kind: 'stage', stage, total: model.config.blocks });
      const embedded = await embedSamples(forText, engine, model, windows);
      return await own(runBlockFiles(engine, model, undefined, embedded, onProgress));
    });
  const greedy = once(() =>
    workspace.step('greedy-dense', async () => {
      const { content } = prepared;
      if (!('windows' in content) || 'classes' in content) return null;
      const written = await writeDenseTexts(model, content, greedyTokens, context);
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
    residual: once(() => residualOf(prepared.content, `${text}: dense`)),
    greedy: greedyTexts,
    greedyResidual: once(async () => await residualOf((await greedyTexts())!.windows, 'greedy texts: dense')),
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
async function compareWithDense(
  { engine, model }: Pick<ReferenceContext, 'engine' | 'model'>,
  reference: DenseReference,
  stream: Activations,
  run: (own: Own, windows: Windows) => Promise<Activations>,
): Promise<Compared> {
  const { content } = reference.prepared;
  const summary = summariseFidelity(
    await compareStreams(engine, model, stream, await reference.residual(), { content }),
  );
  const texts = await reference.greedy();
  if (!texts) return { text: reference.text, ...summary, greedy: null, first: null };
  const tokens = await withResources(async (own) =>
    compareStreams(engine, model, await run(own, texts.windows), await reference.greedyResidual()),
  );
  const { first = null, ...greedy } = partingOf(texts, tokens);
  return { text: reference.text, ...summary, greedy: { ...greedy, worst: null }, first };
}
