// Zero-shot tasks in a job: turns files into tokenised requests, checked before any weight is read, and scores a model on
// them.

import type { OnProgress } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import type { Model, ModelConfig } from '../model/index.js';
import { forestSteps, forestsOf, scoreSequences } from '../pipeline/index.js';
import type { TaskScores, TaskSetup } from '../records/index.js';
import { checkVocabulary, loadTokenizer, type Tokenizer } from '../text/index.js';
import {
  chooseShots,
  type Document,
  type EncodedRequest,
  encodeRequests,
  type Likelihood,
  type LikelihoodRequest,
  loadShots,
  loadTask,
  type Outcome,
  outcomeOf,
  type PrefixTreeBatch,
  requestsOf,
  scoresOf,
  type Task,
} from '../zeroshot/index.js';
import { type RunSettings, windowLength } from './settings.js';
import type { TaskSettings } from './task-options.js';

type Item = { readonly document: Document; readonly requests: readonly LikelihoodRequest[] };

/** The requests to a model. */
export type TaskRequests = {
  readonly settings: TaskSettings;
  readonly setup: TaskSetup;
  readonly lists: readonly {
    readonly task: Task;
    readonly all: readonly Document[];
    readonly items: readonly Item[];
  }[];
  /** The requests of all items of all tasks, in order. */
  readonly sequences: readonly (readonly EncodedRequest[])[];
};

/** The requests, packed for the engine. */
export type PreparedTasks = TaskRequests & { readonly forests: readonly PrefixTreeBatch[] };

type TaskRun<T> = Pick<RunSettings, 'onProgress'> & {
  readonly tasks: T;
  readonly sequenceLength: number | undefined;
  readonly seed: number;
};

/** The requests to a checkpoint; undefined without tasks. @throws as `readRequests` */
export async function prepareTasks(
  { tasks, ...run }: TaskRun<TaskSettings | undefined>,
  model: Model,
): Promise<PreparedTasks | undefined> {
  if (!tasks) return undefined;
  const tokenizer = await loadTokenizer(model.checkpoint.dir, run.onProgress);
  const requests = await readRequests({ ...run, tasks }, model, tokenizer);
  return { ...requests, forests: forestsOf(model, requests.sequences) };
}

/**
 * Reads the tasks' files and makes the requests.
 * @throws OptionError E_OPTION_DATA, E_OPTION_FEWSHOT; CheckpointError E_TASK_…, E_TEXT_…; ResourceError
 */
export async function readRequests(
  { tasks: settings, sequenceLength, seed, onProgress }: TaskRun<TaskSettings>,
  model: { readonly config: Pick<ModelConfig, 'maxPositions' | 'vocabulary'> },
  tokenizer: Tokenizer,
): Promise<TaskRequests> {
  onProgress({ kind: 'stage', stage: 'reading tasks' });
  const { data, shots, limit, specialTokens } = settings;
  const length = windowLength(model, sequenceLength ?? model.config.maxPositions);
  const prepared = [];
  for (const task of settings.tasks) {
    const file = await loadTask(data, task);
    const pool = shots > 0 ? await loadShots(data, task) : undefined;
    const documents = file.documents.filter(({ index }) => limit === undefined || index < limit);
    const examples = chooseShots(task, documents, file.documents, pool?.documents, { shots, seed });
    const items = documents.map((document, i) => ({ document, requests: requestsOf(document, examples[i]) }));
    const sequences = items.map(({ requests }) => encodeRequests(tokenizer, requests, { length, specialTokens }));
    for (const { input, targets } of sequences.flat()) {
      checkVocabulary({ length, windows: [input, targets] }, model.config.vocabulary);
    }
    const cutIn = (what: EncodedRequest['cut']): number => sequences.flat().filter(({ cut }) => cut === what).length;
    prepared.push({
      list: { task, all: file.documents, items },
      sequences,
      record: {
        task: task.name,
        version: task.version,
        items: items.length,
        all: file.documents.length,
        file: { name: file.name, hash: file.hash },
        examples: pool ? { name: pool.name, hash: pool.hash } : null,
        cut: { context: cutIn('context'), continuation: cutIn('continuation') },
      },
    });
  }
  const sequences = prepared.flatMap((one) => one.sequences);
  return {
    settings,
    setup: {
      suite: settings.suite?.name ?? null,
      shots,
      seed,
      length,
      specialTokens,
      tasks: prepared.map(({ record }) => record),
    },
    lists: prepared.map(({ list }) => list),
    sequences,
  };
}

/** Scores the tasks with the block files in `dir`, or the checkpoint's blocks without. `stage` names the progress. */
export async function scoreTasks(
  engine: Engine,
  model: Model,
  dir: string | undefined,
  prepared: PreparedTasks,
  stage: string,
  onProgress: OnProgress,
): Promise<readonly Outcome[]> {
  const { sequences, forests } = prepared;
  onProgress({ kind: 'stage', stage, total: forestSteps(model, forests) });
  return outcomesOf(prepared, await scoreSequences(engine, model, dir, sequences, forests, onProgress));
}

export type TasksResult = {
  readonly setup: TaskSetup;
  readonly scores: TaskScores;
  readonly outcomes: readonly Outcome[];
};

export const resultOf = ({ setup, settings }: TaskRequests, outcomes: readonly Outcome[]): TasksResult => ({
  setup,
  scores: scoresOf(outcomes, settings.suite),
  outcomes,
});

/** The scores of each task, from the likelihoods of all requests. */
export function outcomesOf(
  { lists }: TaskRequests,
  likelihoods: readonly (readonly Likelihood[])[],
): readonly Outcome[] {
  let at = 0;
  return lists.map(({ task, all, items }) => {
    const own = likelihoods.slice(at, at + items.length);
    at += items.length;
    return outcomeOf(task, all, items, own);
  });
}
