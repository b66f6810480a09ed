// Scores a checkpoint or a .lw file: perplexity on a text by the papers' protocol (evaluate/perplexity.ts), accuracy on
// zero-shot tasks by that of lm-evaluation-harness (docs/reference/tasks.md), or both, as the papers report.

import { withResources } from '../base/index.js';
import { calibrationOf } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import { evaluateStream } from '../evaluate/index.js';
import { blameWeights, type Model } from '../model/index.js';
import { isPackedPath } from '../packed/index.js';
import {
  checkOutPath,
  checkOutside,
  conflict,
  normaliseGreedy,
  normaliseImages,
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
  type TaskOptions,
  wholeNumber,
} from '../runs/index.js';
import { loadTokenizer, type WindowStart } from '../text/index.js';
import { compareCheckpoints, type DenseSettings, openDense, requireSameWindows, runDense } from './dense-model.js';
import { type CaptionScores, evaluateCaptions } from './evaluate-captions.js';
import { evaluateImages, type ImageScores } from './evaluate-images.js';
import { type Asked, evaluatePacked, longestWindow, NO_TEXT, type Scores } from './evaluate-packed.js';
import { evaluateQuestions, type QuestionScores } from './evaluate-questions.js';
import { writeHarness } from './harness.js';

export type EvaluateOptions = RunOptions &
  TaskOptions & {
    /** Directory of a Hugging Face checkpoint, a .gguf file, or its name on the Hub; or a .lw file, through the runtime. */
    readonly checkpoint: string;
    /** Text file (.txt, .jsonl, .jsonl.gz, .parquet), or `c4`, `wikitext2`, `ptb`. */
    readonly text?: string;
    /** Images to score a model of images on: a folder, .parquet, .tar, .json or .jsonl. */
    readonly images?: string;
    /** How images get their labels: `folder`, `name`, or a file. Defaults to what the set has. */
    readonly labels?: string;
    /** Whether the EXIF orientation of an image is applied: `ignore` or `apply`. Defaults to `ignore`. */
    readonly orientation?: string;
    /** File with the names of classes, one a line, that a CLIP or SigLIP is scored against. */
    readonly classes?: string;
    /** File with the texts that these names are put into at `{}`, one a line. Defaults to “a photo of a {}.” */
    readonly templates?: string;
    /** Questions about images with their answers, to score a model that answers these on. */
    readonly qa?: string;
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
    /**
     * The checkpoint that the model was made from, as a directory or a name on the Hub: how far the model's predictions on the
     * text are from its. Defaults to no comparison.
     */
    readonly dense?: string;
    /** Tokens of each greedy text whose first divergence from the dense model's is measured; 0 measures none. Defaults to 64. */
    readonly greedyTokens?: number;
    /** Images with captions, for a model that makes vectors of both: recall both ways. */
    readonly captions?: string;
    /** With `qa`: the most tokens of an answer that is written greedily and compared; 0 writes none. Defaults to 0. */
    readonly answerTokens?: number;
    /** Seed that draws few-shot examples. Defaults to 0. */
    readonly seed?: number;
    /** Directory to write lm-evaluation-harness's results and samples to; must not exist. Defaults to none. */
    readonly out?: string;
  };

export type EvaluateResult = Scores & {
  /** Of a model of images; `source`, `fidelity` and `calibration` are of them then. */
  readonly images: Pick<ImageScores, 'evaluation' | 'dense'> | undefined;
  /** Of a model that answers questions about images; `source`, `fidelity` and `calibration` are of them then. */
  readonly questions?: Pick<QuestionScores, 'model' | 'dense'> | undefined;
  /** Of a model that makes vectors of images and texts; `source` and `calibration` are of them then. */
  readonly captions?: Pick<CaptionScores, 'model' | 'dense'> | undefined;
  readonly seconds: number;
};

/**
 * Scores a model on the whole text, on tasks, or on both.
 * @throws as `prune`, for its checkpoint, text, tasks and options
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluateResult> {
  const started = performance.now();
  const { checkpoint, text, out, dense } = options;
  const settings = normaliseRun(options);
  const sequenceLength = normaliseLength(options.sequenceLength);
  const windowStart = normaliseStart(options.windowStart);
  const seed = wholeNumber('seed', options.seed ?? 0, 0, 2 ** 32 - 1);
  const tasks = normaliseTasks(options);
  if (options.captions !== undefined)
    return await scoreCaptions({ ...options, captions: options.captions }, settings, started);
  if (options.images !== undefined) return await scoreImages({ ...options, images: options.images }, settings, started);
  if (options.labels !== undefined) refuseMissing('images', 'images with --labels, which says how they are read');
  if (options.classes !== undefined) refuseMissing('images', 'images with --classes, which they are scored against');
  if (options.templates !== undefined) refuseMissing('images', 'images with --templates, which names are put into');
  if (options.qa !== undefined) return await scoreQuestions({ ...options, qa: options.qa }, settings, started);
  if (options.answerTokens !== undefined) refuseMissing('qa', 'questions with --answer-tokens, which are answered');
  if (options.orientation !== undefined)
    refuseMissing('images', 'images with --orientation, which says how they are read');
  if (text === undefined && !tasks)
    refuseMissing(
      'text',
      'a text file, --tasks or --suite, --images for a model of images, or --qa for one that answers questions',
    );
  if (dense !== undefined && text === undefined)
    refuseMissing('text', 'a text with --dense, on which the two are compared');
  if (options.greedyTokens !== undefined && dense === undefined) {
    refuseMissing('dense', 'the original checkpoint with --greedy-tokens, whose texts are compared with');
  }
  const greedyTokens = normaliseGreedy(options.greedyTokens);
  if (out !== undefined && !tasks) refuseMissing('tasks', 'tasks with --out, which receives their results and samples');
  if (out !== undefined) await checkOutPath(out);
  const asked = { text, tasks, sequenceLength, windowStart, seed, dense, greedyTokens };
  const scores = (await isPackedPath(checkpoint))
    ? await evaluatePacked(checkpoint, asked, settings)
    : await evaluateCheckpoint(checkpoint, asked, out, settings);
  if (out !== undefined) await writeHarness(out, { ...scores.tasks!, ...tasks!, device: settings.device, checkpoint });
  return { ...scores, images: undefined, seconds: (performance.now() - started) / 1000 };
}

/** Options that are for texts. */
const OF_TEXTS = ['text', 'tasks', 'suite', 'sequenceLength', 'windowStart', 'greedyTokens', 'out'] as const;

async function scoreCaptions(
  options: EvaluateOptions & { readonly captions: string },
  settings: RunSettings,
  started: number,
): Promise<EvaluateResult> {
  for (const option of [...OF_TEXTS, 'images', 'qa', 'labels', 'classes', 'templates', 'answerTokens'] as const) {
    if (options[option] !== undefined) conflict(flagOf(option), 'captions', 'recall needs images with captions alone');
  }
  const { checkpoint, captions, dense } = options;
  const asked = { captions, dense, orientation: normaliseImages(options).orientation };
  const { model, dense: before, ...scores } = await evaluateCaptions(checkpoint, asked, settings);
  const seconds = (performance.now() - started) / 1000;
  const none = { text: undefined, tasks: undefined, images: undefined, fidelity: undefined };
  return { ...scores, ...none, captions: { model, dense: before }, seconds };
}

async function scoreImages(
  options: EvaluateOptions & { readonly images: string },
  settings: RunSettings,
  started: number,
): Promise<EvaluateResult> {
  for (const option of OF_TEXTS) {
    if (options[option] !== undefined) conflict(flagOf(option), 'images', 'it is for models that read text');
  }
  if (options.answerTokens !== undefined) conflict('answer-tokens', 'images', 'classes are not answers');
  if (options.qa !== undefined) conflict('qa', 'images', 'a model either answers questions or has classes');
  const { checkpoint, images, dense } = options;
  const asked = { images, dense, ...normaliseImages(options) };
  const { evaluation, dense: before, ...scores } = await evaluateImages(checkpoint, asked, settings);
  const seconds = (performance.now() - started) / 1000;
  const found = { evaluation, dense: before };
  return { ...scores, text: undefined, tasks: undefined, images: found, seconds };
}

async function scoreQuestions(
  options: EvaluateOptions & { readonly qa: string },
  settings: RunSettings,
  started: number,
): Promise<EvaluateResult> {
  for (const option of OF_TEXTS) {
    if (option !== 'sequenceLength' && options[option] !== undefined)
      conflict(flagOf(option), 'qa', 'it is for models that read text');
  }
  const { checkpoint, qa, dense, sequenceLength } = options;
  const answerTokens = wholeNumber('answer-tokens', options.answerTokens ?? 0, 0, 4096);
  const asked = { qa, dense, sequenceLength, answerTokens, orientation: normaliseImages(options).orientation };
  const { model, dense: before, ...scores } = await evaluateQuestions(checkpoint, asked, settings);
  const seconds = (performance.now() - started) / 1000;
  const found = { model, dense: before };
  return { ...scores, text: undefined, tasks: undefined, images: undefined, questions: found, seconds };
}

const flagOf = (name: string): string => name.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`);

async function evaluateCheckpoint(
  checkpoint: string,
  { text: path, tasks, sequenceLength, windowStart, seed, dense: original, greedyTokens }: Asked,
  out: string | undefined,
  settings: RunSettings,
): Promise<Scores> {
  const { onProgress } = settings;
  const model = await openSource(checkpoint, onProgress, { activations: 'obey' });
  if (out !== undefined) await checkOutside(out, model.checkpoint.dir);
  const dense = original === undefined ? undefined : await openDense(original, model.config, settings);
  const cut = { length: longestWindow(model, dense, sequenceLength), start: windowStart };
  const text = path === undefined ? undefined : await readWindows(model, path, cut, settings);
  if (dense) requireSameWindows(text!.content, (await readWindows(dense, path!, cut, settings)).content);
  const prepared = await prepareTasks({ onProgress, tasks, sequenceLength, seed }, model);
  return await withResources(async (own) => {
    const engine = await own(openEngine(model, settings));
    return {
      ...(text
        ? await scoreWithDense(engine, model, text, dense, {
            ...settings,
            greedyTokens: dense ? greedyOf(model, greedyTokens, onProgress) : greedyTokens,
          })
        : NO_TEXT),
      calibration: await calibrationOf(model.checkpoint.dir),
      tasks: prepared && resultOf(prepared, await scoreTasks(engine, model, undefined, prepared, 'tasks', onProgress)),
    };
  }).catch((error) => blameWeights(model, error));
}

/** Texts are written by our decoder, which does not quantise activations. */
function greedyOf({ activations }: Model, tokens: number, onProgress: RunSettings['onProgress']): number {
  if (!activations || tokens === 0) return tokens;
  onProgress({ kind: 'note', text: 'Greedy texts are not compared: our decoder does not quantise activations.' });
  return 0;
}

/** The losses on a text, and the comparison with the dense model if there is one. */
function scoreWithDense(
  engine: Engine,
  model: Model,
  text: PreparedText,
  dense: Model | undefined,
  settings: DenseSettings,
): Promise<Pick<Scores, 'text' | 'source' | 'fidelity'>> {
  const { content: windows, record } = text;
  return withResources(async (own) => {
    const stream = await runDense(own, engine, model, windows, 'evaluating', settings);
    const evaluation = await evaluateStream(engine, model, stream, windows);
    const fidelity = dense && (await compareCheckpoints(engine, model, stream, dense, text, settings));
    return { text: evaluation, source: record, fidelity };
  });
}

async function readWindows(
  model: Model,
  path: string,
  cut: { readonly length: number; readonly start: WindowStart | undefined },
  { onProgress }: RunSettings,
): Promise<PreparedText> {
  onProgress({ kind: 'stage', stage: 'reading texts' });
  const tokenizer = await loadTokenizer(model.checkpoint.dir, onProgress);
  return await prepareText(model, tokenizer, {
    path,
    role: 'test',
    order: 'all',
    ...cut,
    seed: 0,
    onProgress,
  });
}
