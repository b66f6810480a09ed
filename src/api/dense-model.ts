// The original checkpoint that `evaluate --dense` compares with: opened, checked to read the same tokens, and run on the
// text and on its own greedy texts.

import { OptionError, type Own, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import {
  compareModels,
  compareRows,
  emptyFidelity,
  openLogits,
  setToken,
  summariseFidelity,
  type TokenFidelity,
} from '../evaluate/index.js';
import {
  continueCheckpoint,
  describeParting,
  type GreedyTexts,
  partingOf,
  type VisitLogits,
  writeDenseTexts,
} from '../generation/index.js';
import type { Model, ModelConfig } from '../model/index.js';
import { runBlocks } from '../pipeline/index.js';
import type { Fidelity } from '../records/index.js';
import { openSource, type PreparedText, type RunSettings } from '../runs/index.js';
import { type Activations, type Content, embedSamples } from '../stream/index.js';
import type { Windows } from '../text/index.js';

export type DenseSettings = RunSettings & { readonly greedyTokens: number };

/** Opens the dense model of an edited one. @throws OptionError E_OPTION_DENSE; as `openSource` */
export async function openDense(
  checkpoint: string,
  { vocabulary }: Pick<ModelConfig, 'vocabulary'>,
  settings: RunSettings,
): Promise<Model> {
  const dense = await openSource(checkpoint, settings.onProgress);
  const got = dense.config.vocabulary;
  if (got !== vocabulary) {
    throw new OptionError(
      'E_OPTION_DENSE',
      `--dense: expected the checkpoint that the model was made from, with its ${vocabulary} tokens; ${checkpoint} has ${got}. Pass the original.`,
      { option: 'dense', expected: vocabulary, got },
    );
  }
  return dense;
}

/** @throws OptionError E_OPTION_DENSE where the two tokenizers cut the text into other tokens */
export function requireSameWindows(edited: Windows, dense: Windows): void {
  const same = (window: Int32Array, w: number): boolean => window.every((token, t) => token === dense.windows[w]![t]);
  if (edited.windows.length === dense.windows.length && edited.windows.every(same)) return;
  throw new OptionError(
    'E_OPTION_DENSE',
    '--dense: expected a checkpoint whose tokenizer gives the same tokens for the text, got others. Pass the original that the model was made from.',
    { option: 'dense' },
  );
}

/** The residual after the last block on `content`. */
export async function runDense(
  own: Own,
  engine: Engine,
  model: Model,
  content: Content,
  stage: string,
  { onProgress }: Pick<RunSettings, 'onProgress'>,
): Promise<Activations> {
  return await withResources(async (forSamples) => {
    const samples = await embedSamples(forSamples, engine, model, content, onProgress);
    onProgress({ kind: 'stage', stage, total: model.config.blocks });
    return await own(runBlocks(engine, model, samples, onProgress));
  });
}

/** Compares a checkpoint, whose residual on the text is `stream`, with its dense model. */
export async function compareCheckpoints(
  engine: Engine,
  edited: Model,
  stream: Activations,
  dense: Model,
  { content: windows }: PreparedText,
  settings: DenseSettings,
): Promise<Fidelity> {
  return await withResources(async (own) => {
    const denseStream = await runDense(own, engine, dense, windows, 'the dense model', settings);
    const tokens = await compareModels(
      engine,
      { model: edited, stream },
      { model: dense, stream: denseStream },
      { content: windows },
    );
    const texts = await writeDenseTexts(dense, windows, settings.greedyTokens, settings);
    if (!texts) return fidelityOf(tokens, null);
    const stage = 'greedy texts';
    const parted = await compareModels(
      engine,
      { model: edited, stream: await runDense(own, engine, edited, texts.windows, stage, settings) },
      { model: dense, stream: await runDense(own, engine, dense, texts.windows, stage, settings) },
    );
    return fidelityOf(
      tokens,
      await greedyOf(texts, parted, edited.checkpoint.dir, continueCheckpoint(edited, settings)),
    );
  });
}

/** Collects the comparison of logits that arrive window by window with those of the dense model. */
export async function collectFidelity(
  own: Own,
  engine: Engine,
  dense: Model,
  stream: Activations,
  { windows, length }: Windows,
): Promise<{ readonly tokens: TokenFidelity; readonly visit: VisitLogits }> {
  const { vocabulary } = dense.config;
  const tokens = emptyFidelity(windows.length, length - 1);
  const logitsAt = await openLogits(own, engine, dense, stream);
  const visit: VisitLogits = async (window, first, logits) => {
    const count = logits.length / vocabulary;
    const reference = await logitsAt(window, first, count);
    for (let row = 0; row < count; row++) {
      const [from, to] = [row * vocabulary, (row + 1) * vocabulary];
      const compared = compareRows(reference.subarray(from, to), logits.subarray(from, to));
      setToken(tokens, window * (length - 1) + first + row, compared);
    }
  };
  return { tokens, visit };
}

export const fidelityOf = (tokens: TokenFidelity, greedy: Fidelity['greedy']): Fidelity => ({
  text: 'test',
  ...summariseFidelity(tokens),
  greedy,
});

/** The first differences, with the words of the text that parts first. `dir` has the tokenizer. */
export async function greedyOf(
  texts: GreedyTexts,
  tokens: TokenFidelity,
  dir: string,
  goOn: Parameters<typeof describeParting>[3],
): Promise<NonNullable<Fidelity['greedy']>> {
  const { first, ...greedy } = partingOf(texts, tokens);
  return { ...greedy, worst: first ? await describeParting(texts, first, dir, goOn) : null };
}
