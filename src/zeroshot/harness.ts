// Results and samples in the schema of lm-evaluation-harness (lm_eval/result_schema.py at 4e7e0d4), so that tools that read
// its output can read ours. Nothing in them depends on when or how fast the run went: `date` and the total time are absent,
// which the schema allows.

import { createHash } from 'node:crypto';
import type { Estimate, TaskScores, TaskSetup } from '../records/index.js';
import type { Outcome, Part, ScoredItem } from './outcome.js';
import { targetOf } from './requests.js';
import type { Suite } from './tasks/registry.js';
import { isHigherBetter, type Metric, type Task } from './tasks/task.js';

export type HarnessRun = {
  readonly outcomes: readonly Outcome[];
  readonly setup: TaskSetup;
  readonly scores: TaskScores;
  readonly suite: Suite | undefined;
  readonly limit: number | undefined;
  readonly device: string;
  readonly version: string;
  /** The checkpoint, as the user named it. */
  readonly checkpoint: string;
};

/** The only filter: none. */
const FILTER = 'none';

/** The document of `results_….json`. */
export function harnessResults(run: HarnessRun): Readonly<Record<string, unknown>> {
  const { outcomes, setup, suite } = run;
  const parts = outcomes.flatMap(({ task, parts }) => parts.map((part) => ({ task, part })));
  const groups = groupsOf(run);
  const ofParts = <V>(make: (one: (typeof parts)[number]) => V): Record<string, V> =>
    Object.fromEntries(parts.map((one) => [one.part.name, make(one)]));
  const ofGroups = <V>(make: (one: Group) => V): Record<string, V> =>
    Object.fromEntries(groups.map((one) => [one.name, make(one)]));
  const betterOf = (task: Task) => Object.fromEntries(task.metrics.map((metric) => [metric, isHigherBetter(metric)]));
  const groupResults = ofGroups(({ name, items, metrics }) => ({
    name,
    alias: name,
    sample_len: items,
    ...metricKeys(metrics),
  }));
  return {
    results: {
      ...ofParts(({ part }) => ({
        name: part.name,
        alias: part.name,
        sample_len: part.items.length,
        ...metricKeys(part.metrics),
      })),
      ...groupResults,
    },
    ...(groups.length > 0 ? { groups: groupResults } : {}),
    group_subtasks: ofGroups(({ members }) => members),
    configs: ofParts(({ task, part }) => configOf(task, part, setup)),
    versions: { ...ofParts(({ task }) => task.version), ...ofGroups(({ version }) => version) },
    'n-shot': { ...ofParts(() => setup.shots), ...ofGroups(() => setup.shots) },
    higher_is_better: { ...ofParts(({ task }) => betterOf(task)), ...ofGroups(() => ({ acc: true })) },
    'n-samples': ofParts(({ part }) => ({ original: part.all, effective: part.items.length })),
    config: {
      model: 'layerwise',
      model_args: { pretrained: run.checkpoint, max_length: setup.length, add_special_tokens: setup.specialTokens },
      batch_size: null,
      batch_sizes: [],
      device: run.device,
      use_cache: null,
      limit: run.limit ?? null,
      bootstrap_iters: 0,
      gen_kwargs: null,
      random_seed: setup.seed,
      numpy_seed: setup.seed,
      torch_seed: setup.seed,
      fewshot_seed: setup.seed,
    },
    layerwise_version: run.version,
    max_length: setup.length,
    task_hashes: ofParts(({ part }) => hash(part.items.map((item) => Object.values(hashesOf(item)).join('')).join(''))),
    model_source: 'layerwise',
    model_name: run.checkpoint,
    model_name_sanitized: run.checkpoint.replaceAll(/["<>:/|\\?*[\]]+/g, '__'),
    ...(suite ? { suite: suite.name } : {}),
  };
}

/** The lines of `samples_<part>_….jsonl`, by part. */
export function harnessSamples(outcomes: readonly Outcome[]): ReadonlyMap<string, string> {
  return new Map(
    outcomes.flatMap(({ parts }) =>
      parts.map(
        (part) => [part.name, part.items.map((item) => `${JSON.stringify(sampleOf(item))}\n`).join('')] as const,
      ),
    ),
  );
}

type Group = {
  readonly name: string;
  readonly version: number;
  readonly members: readonly string[];
  readonly items: number;
  readonly metrics: Readonly<Record<string, Estimate>>;
};

/** Groups of the harness: a task of several parts is one, and so is the suite. */
function groupsOf({ outcomes, scores, suite }: HarnessRun): readonly Group[] {
  const groups: Group[] = outcomes
    .filter(({ task }) => task.partOf)
    .map(({ task, parts, metrics }) => ({
      name: task.name,
      version: task.groupVersion ?? task.version,
      members: parts.map(({ name }) => name),
      items: itemsIn(parts),
      metrics,
    }));
  if (suite && scores.average) {
    const items = outcomes.reduce((sum, { parts }) => sum + itemsIn(parts), 0);
    groups.push({ name: suite.name, version: 1, members: suite.tasks, items, metrics: { acc: scores.average } });
  }
  return groups;
}

const itemsIn = (parts: readonly Part[]): number => parts.reduce((sum, { items }) => sum + items.length, 0);

/** `acc` as `acc,none` and `acc_stderr,none`. */
const metricKeys = (metrics: Readonly<Record<string, Estimate>>): Record<string, number | string> =>
  Object.fromEntries(
    Object.entries(metrics).flatMap(([metric, { value, stderr }]) => [
      [`${metric},${FILTER}`, value],
      [`${metric}_stderr,${FILTER}`, stderr ?? 'N/A'],
    ]),
  );

const OUTPUT_TYPE = {
  choices: 'multiple_choice',
  contexts: 'multiple_choice',
  word: 'loglikelihood',
  answers: 'multiple_choice',
} as const;

function configOf(task: Task, { name }: Part, setup: TaskSetup): Readonly<Record<string, unknown>> {
  const part = name.slice(task.name.length + 1);
  const dataset = task.source.name ?? (part === '' ? undefined : part);
  const aggregation = (metric: Metric): string => (metric === 'perplexity' ? 'perplexity' : 'mean');
  return {
    task: name,
    dataset_path: task.source.path,
    ...(dataset === undefined ? {} : { dataset_name: dataset }),
    [`${task.source.split}_split`]: task.source.split,
    output_type: OUTPUT_TYPE[task.form],
    description: task.introduce?.(part) ?? '',
    target_delimiter: ' ',
    fewshot_delimiter: '\n\n',
    num_fewshot: setup.shots,
    metric_list: task.metrics.map((metric) => ({
      metric,
      aggregation: aggregation(metric),
      higher_is_better: isHigherBetter(metric),
    })),
    repeats: 1,
    metadata: { version: task.version },
  };
}

function sampleOf(item: ScoredItem): Readonly<Record<string, unknown>> {
  const { document, requests, likelihoods, metrics } = item;
  // Text, as the harness writes them, because its readers need columns of one type.
  const answers = likelihoods.map(({ logProbability, greedy }) => [String(logProbability), greedy ? 'True' : 'False']);
  return {
    doc_id: document.index,
    doc: document.fields,
    target: targetOf(document.question),
    arguments: Object.fromEntries(
      requests.map(({ context, continuation }, i) => [`gen_args_${i}`, { arg_0: context, arg_1: continuation }]),
    ),
    resps: answers.map((answer) => [answer]),
    filtered_resps: answers,
    filter: FILTER,
    metrics: Object.keys(metrics),
    ...hashesOf(item),
    ...metrics,
  };
}

const hashesOf = ({ document, requests }: ScoredItem) => ({
  doc_hash: hash(JSON.stringify(document.fields, null, 2)),
  prompt_hash: hash(requests[0]!.context),
  target_hash: hash(targetOf(document.question)),
});

const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
