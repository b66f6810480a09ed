// Scores a checkpoint or a .lw file: perplexity on a text by the papers' protocol (evaluate/perplexity.ts), accuracy on
// zero-shot tasks by that of lm-evaluation-harness (docs/reference/tasks.md), or both, as the papers report.

import { withResources } from '../base/index.js';
import type { Model } from '../model/index.js';
import { blameWeights } from '../model/index.js';
import { isPackedPath } from '../packed/index.js';
import {
  checkOutPath,
  checkOutside,
  normaliseLength,
  normaliseRun,
  normaliseStart,
  normaliseTasks,
  openEngine,
  openSource,
  type PreparedText,
  prepareTasks,
  prepareText,
  type RunOptions,
  type RunSettings,
  refuseMissing,
  resultOf,
  scoreTasks,
  scoreText,
  type TaskOptions,
  wholeNumber,
  windowLength,
} from '../runs/index.js';
import { loadTokenizer } from '../text/index.js';
import { type Asked, evaluatePacked, type Scores } from './evaluate-packed.js';
import { writeHarness } from './harness.js';

export type EvaluateOptions = RunOptions &
  TaskOptions & {
    /** Directory of a Hugging Face checkpoint, a .gguf file, or its name on the Hub; or a .lw file, through the runtime. */
    readonly checkpoint: string;
    /** Text file (.txt, .jsonl, .jsonl.gz, .parquet), or `c4`, `wikitext2`, `ptb`. */
    readonly text?: string;
    /**
     * The most tokens that the model reads at once, which for a text is the length of a window. Defaults to the model's
     * maximum, for a text at most 2048.
     */
    readonly sequenceLength?: number;
    /**
     * `bos`: every window of the text begins with the tokenizer's BOS token. `none`: windows are contiguous pieces of it.
     * Defaults to `bos` where the tokenizer puts BOS before a text, else to `none`.
     */
    readonly windowStart?: string;
    /** Seed that draws few-shot examples. Defaults to 0. */
    readonly seed?: number;
    /** Directory to write lm-evaluation-harness's results and samples to; must not exist. Defaults to none. */
    readonly out?: string;
  };

export type EvaluateResult = Scores & { readonly seconds: number };

/**
 * Scores a model on the whole text, on tasks, or on both.
 * @throws as `prune`, for its checkpoint, text, tasks and options
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluateResult> {
  const started = performance.now();
  const { checkpoint, text, out } = options;
  const settings = normaliseRun(options);
  const sequenceLength = normaliseLength(options.sequenceLength);
  const windowStart = normaliseStart(options.windowStart);
  const seed = wholeNumber('seed', options.seed ?? 0, 0, 2 ** 32 - 1);
  const tasks = normaliseTasks(options);
  if (text === undefined && !tasks) refuseMissing('text', 'a text file, or --tasks or --suite');
  if (out !== undefined && !tasks) refuseMissing('tasks', 'tasks with --out, which receives their results and samples');
  if (out !== undefined) await checkOutPath(out);
  const asked = { text, tasks, sequenceLength, windowStart, seed };
  const scores = (await isPackedPath(checkpoint))
    ? await evaluatePacked(checkpoint, asked, settings)
    : await evaluateCheckpoint(checkpoint, asked, out, settings);
  if (out !== undefined) await writeHarness(out, { ...scores.tasks!, ...tasks!, device: settings.device, checkpoint });
  return { ...scores, seconds: (performance.now() - started) / 1000 };
}

async function evaluateCheckpoint(
  checkpoint: string,
  { text: path, tasks, sequenceLength, windowStart, seed }: Asked,
  out: string | undefined,
  settings: RunSettings,
): Promise<Scores> {
  const { onProgress } = settings;
  const model = await openSource(checkpoint, onProgress);
  if (out !== undefined) await checkOutside(out, model.checkpoint.dir);
  const text =
    path === undefined ? undefined : await readWindows(model, path, { sequenceLength, windowStart }, settings);
  const prepared = await prepareTasks({ onProgress, tasks, sequenceLength, seed }, model);
  return await withResources(async (own) => {
    const engine = await own(openEngine(model, settings));
    return {
      text: text && (await scoreText(engine, model, undefined, text, 'evaluating', onProgress)),
      source: text?.record,
      tasks: prepared && resultOf(prepared, await scoreTasks(engine, model, undefined, prepared, 'tasks', onProgress)),
    };
  }).catch((error) => blameWeights(model, error));
}

async function readWindows(
  model: Model,
  path: string,
  { sequenceLength, windowStart }: Pick<Asked, 'sequenceLength' | 'windowStart'>,
  { onProgress }: RunSettings,
): Promise<PreparedText> {
  onProgress({ kind: 'stage', stage: 'reading texts' });
  const tokenizer = await loadTokenizer(model.checkpoint.dir, onProgress);
  return await prepareText(model, tokenizer, {
    path,
    role: 'test',
    length: windowLength(model, sequenceLength),
    order: 'all',
    start: windowStart,
    seed: 0,
    onProgress,
  });
}
