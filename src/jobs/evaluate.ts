// Perplexity of a checkpoint on a text, by the papers' protocol (evaluate/perplexity.ts).

import { summarise } from '../evaluate/index.js';
import { scoreBlockFiles } from '../pipeline/index.js';
import type { Evaluation } from '../records/index.js';
import { loadTokenizer } from '../text/index.js';
import { normaliseLength, normaliseRun, type RunOptions, windowLength } from './settings.js';
import { openSource } from './source.js';
import { embedText, openEngine, prepareText } from './texts.js';

export type EvaluateOptions = RunOptions & {
  /** Directory of a Hugging Face checkpoint, or its name on the Hub. */
  readonly checkpoint: string;
  /** Text file (.txt, .jsonl, .jsonl.gz, .parquet), or `c4`, `wikitext2`, `ptb`. */
  readonly text: string;
  /** Tokens in a window. Defaults to the model's maximum, at most 2048. */
  readonly sequenceLength?: number;
};

export type EvaluateResult = Evaluation & { readonly seconds: number };

/** Scores a checkpoint on the whole text. @throws as `prune`, for its checkpoint, text and options */
export async function evaluate(options: EvaluateOptions): Promise<EvaluateResult> {
  const started = performance.now();
  const settings = normaliseRun(options);
  const asked = normaliseLength(options.sequenceLength);
  const { onProgress } = settings;
  const model = await openSource(options.checkpoint, onProgress);
  const length = windowLength(model, asked);
  onProgress({ kind: 'stage', stage: 'reading texts' });
  const tokenizer = await loadTokenizer(model.checkpoint.dir);
  const text = await prepareText(model, tokenizer, {
    path: options.text,
    role: 'test',
    length,
    order: 'all',
    seed: 0,
    onProgress,
  });
  const engine = await openEngine(model, settings);
  try {
    onProgress({ kind: 'stage', stage: 'evaluating', total: model.config.blocks });
    const embedded = await embedText(model, text);
    const nll = await scoreBlockFiles(engine, model, undefined, embedded, onProgress);
    await embedded.embedded.close();
    return { ...summarise(nll, length), seconds: (performance.now() - started) / 1000 };
  } finally {
    await engine.close();
  }
}
