// What a checkpoint scores: perplexity on a text by the papers' protocol (evaluate/perplexity.ts), accuracy on zero-shot
// tasks by lm-evaluation-harness's (docs/tasks.md), or both, which is how the papers report a model.

import { OptionError } from '../base/index.js';
import { type Outcome, scoresOf } from '../evaluate/index.js';
import type { Model } from '../model/index.js';
import { isPackedPath } from '../packed/index.js';
import type { Evaluation, TaskScores, TaskSetup } from '../records/index.js';
import { loadTokenizer } from '../text/index.js';
import { refuseMissing, wholeNumber } from './checks.js';
import { evaluatePacked } from './evaluate-packed.js';
import { scoreText } from './final.js';
import { writeHarness } from './harness.js';
import { normaliseLength, normaliseRun, type RunOptions, type RunSettings, windowLength } from './settings.js';
import { openSource } from './source.js';
import { normaliseTasks, type TaskOptions } from './task-options.js';
import { prepareTasks, scoreTasks } from './tasks.js';
import { openEngine, type PreparedText, prepareText } from './texts.js';
import { checkOutPath, checkOutside } from './workspace.js';

export type EvaluateOptions = RunOptions &
  TaskOptions & {
    /** Directory of a Hugging Face checkpoint, or its name on the Hub; for a text also a .lw file, through the runtime. */
    readonly checkpoint: string;
    /** Text file (.txt, .jsonl, .jsonl.gz, .parquet), or `c4`, `wikitext2`, `ptb`. */
    readonly text?: string;
    /**
     * Most tokens the model reads at once. Defaults to the model's maximum, for a text at most 2048: that many are in a
     * window.
     */
    readonly sequenceLength?: number;
    /** Seed that draws few-shot examples. Defaults to 0. */
    readonly seed?: number;
    /** Directory to write lm-evaluation-harness's results and samples to; must not exist. Defaults to none. */
    readonly out?: string;
  };

export type EvaluateResult = {
  readonly text: Evaluation | undefined;
  readonly tasks:
    | { readonly setup: TaskSetup; readonly scores: TaskScores; readonly outcomes: readonly Outcome[] }
    | undefined;
  readonly seconds: number;
};

/**
 * Scores a checkpoint on the whole text, on tasks, or on both.
 * @throws as `prune`, for its checkpoint, text, tasks and options
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluateResult> {
  const started = performance.now();
  const { out } = options;
  const settings = normaliseRun(options);
  const sequenceLength = normaliseLength(options.sequenceLength);
  const seed = wholeNumber('seed', options.seed ?? 0, 0, 2 ** 32 - 1);
  const tasks = normaliseTasks(options);
  if (options.text === undefined && !tasks) refuseMissing('text', 'a text file, or --tasks or --suite');
  if (out !== undefined && !tasks) refuseMissing('tasks', 'tasks with --out, which receives their results and samples');
  if (out !== undefined) await checkOutPath(out);
  if (await isPackedPath(options.checkpoint)) {
    if (tasks || options.text === undefined) {
      throw new OptionError(
        'E_OPTION_TASKS',
        `--tasks: ${options.checkpoint} is packed; tasks are scored on checkpoints, or through layerwise serve. Give the checkpoint, or --text.`,
        { option: 'tasks' },
      );
    }
    const text = await evaluatePacked(options.checkpoint, { text: options.text, sequenceLength }, settings);
    return { text, tasks: undefined, seconds: (performance.now() - started) / 1000 };
  }
  const model = await openSource(options.checkpoint, settings.onProgress);
  if (out !== undefined) await checkOutside(out, model.checkpoint.dir);
  const text =
    options.text === undefined ? undefined : await readWindows(model, options.text, sequenceLength, settings);
  const prepared = await prepareTasks({ ...settings, tasks, sequenceLength, seed }, model);
  const engine = await openEngine(model, settings);
  try {
    const evaluation = text && (await scoreText(engine, model, undefined, text, 'evaluating', settings.onProgress));
    let scored: EvaluateResult['tasks'];
    if (prepared) {
      const { setup } = prepared;
      const outcomes = await scoreTasks(engine, model, undefined, prepared, 'tasks', settings.onProgress);
      scored = { setup, outcomes, scores: scoresOf(outcomes, tasks!.suite) };
      if (out !== undefined) {
        await writeHarness(out, { ...scored, ...tasks!, device: engine.device, checkpoint: options.checkpoint });
      }
    }
    return { text: evaluation, tasks: scored, seconds: (performance.now() - started) / 1000 };
  } finally {
    await engine.close();
  }
}

async function readWindows(
  model: Model,
  path: string,
  sequenceLength: number | undefined,
  { onProgress }: RunSettings,
): Promise<PreparedText> {
  onProgress({ kind: 'stage', stage: 'reading texts' });
  const tokenizer = await loadTokenizer(model.checkpoint.dir);
  return await prepareText(model, tokenizer, {
    path,
    role: 'test',
    length: windowLength(model, sequenceLength),
    order: 'all',
    seed: 0,
    onProgress,
  });
}
