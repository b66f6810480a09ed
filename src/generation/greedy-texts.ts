// Greedy texts of the dense model, and where an edited model parts from them. Only the dense model writes. The edited model
// reads those texts in one pass: up to the first difference both models have read the same tokens, so the first place where
// its likeliest token is another one is exactly where its own greedy text would part.
// Checkpoints write through the decoder, packed in memory as float32.

import { type OnProgress, ResourceError, UnsupportedError } from '../base/index.js';
import { openDecoder } from '../decoder/index.js';
import type { TokenFidelity } from '../evaluate/index.js';
import { blameWeights, describeTensors, type Model } from '../model/index.js';
import { packInMemory } from '../packed/index.js';
import type { GreedyDivergence } from '../records/index.js';
import type { Windows } from '../text/index.js';
import { folderTexts, loadLanguage } from './folder.js';
import { writeGreedily } from './greedy.js';

/** Prompts, and the tokens of each. */
const PROMPTS = 8;
const PROMPT_TOKENS = 32;
/** A larger model is not packed to write: the decoder holds its float32 weights in memory, and reads them for each token. */
const MOST_PARAMETERS = 2 ** 28;

/** The dense model's greedy texts: windows of a prompt and what follows it. */
export type GreedyTexts = { readonly prompt: number; readonly tokens: number; readonly windows: Windows };

/** The prompts for texts of `tokens` tokens, or of as many as the model has positions for; undefined where there is no room. */
function promptsOf(
  model: Model,
  { windows, length }: Windows,
  asked: number,
): { readonly prompts: readonly (readonly number[])[]; readonly tokens: number } | undefined {
  const width = Math.min(PROMPT_TOKENS, length, model.config.maxPositions - 1);
  const tokens = Math.min(asked, model.config.maxPositions - width);
  if (width < 1 || tokens < 1) return undefined;
  return { prompts: windows.slice(0, PROMPTS).map((window) => [...window.subarray(0, width)]), tokens };
}

/**
 * The greedy texts of a checkpoint after the first windows of a text; undefined, with a note that says why, where it cannot
 * write or `tokens` is 0.
 */
export async function writeDenseTexts(
  model: Model,
  windows: Windows,
  asked: number,
  settings: { readonly threads: number; readonly onProgress: OnProgress },
): Promise<GreedyTexts | undefined> {
  if (asked === 0) return undefined;
  const planned = promptsOf(model, windows, asked);
  const skip = (reason: string): undefined =>
    settings.onProgress({
      kind: 'note',
      text: `First divergence of greedy text is not measured: ${reason}.`,
    }) as undefined;
  if (!planned) return skip('the model has no positions for a prompt and an answer');
  const { prompts, tokens } = planned;
  if (model.parameters > MOST_PARAMETERS) {
    return skip(
      `the model has ${model.parameters} parameters, and at most ${MOST_PARAMETERS} are unpacked to write it`,
    );
  }
  try {
    const texts = await continueTexts(model, prompts, tokens, settings);
    const prompt = prompts[0]!.length;
    const whole = prompts.map((start, i) => Int32Array.from([...start, ...texts[i]!]));
    return { prompt, tokens, windows: { length: prompt + tokens, windows: whole } };
  } catch (error) {
    if (error instanceof ResourceError || error instanceof UnsupportedError)
      return skip(error.message.replace(/\.$/, ''));
    throw error;
  }
}

/** `count` greedy tokens of a checkpoint after each prompt. All prompts are equally long. */
async function continueTexts(
  model: Model,
  prompts: readonly (readonly number[])[],
  count: number,
  { threads, onProgress }: { readonly threads: number; readonly onProgress: OnProgress },
): Promise<number[][]> {
  const { checkpoint, config, tensorNames } = model;
  const source = { checkpoint, tensors: describeTensors(config, tensorNames) };
  const settings = { values: 'f32', layout: 'auto', head: 'f32' } as const;
  const packed = await packInMemory(source, settings, onProgress).catch((error) => blameWeights(model, error));
  try {
    onProgress({ kind: 'stage', stage: 'writing greedy texts' });
    const positions = prompts[0]!.length + count;
    const decoder = await openDecoder(packed, { threads, sequences: prompts.length, positions });
    try {
      return await writeGreedily(decoder, prompts, count);
    } finally {
      await decoder.close();
    }
  } finally {
    await packed.close();
  }
}

/** Where a model parts from the dense texts, by its comparison with the dense model on them. */
export function partingOf(
  { prompt, tokens, windows }: GreedyTexts,
  { perWindow, choice, denseChoice }: TokenFidelity,
): Omit<GreedyDivergence, 'worst'> & { readonly first: Parting | undefined } {
  const same = windows.windows.map((_, window) => {
    const at = window * perWindow + prompt - 1;
    let t = 0;
    while (t < tokens && choice[at + t] === denseChoice[at + t]) t++;
    return t;
  });
  const least = same.indexOf(Math.min(...same));
  const first =
    same[least]! < tokens
      ? { window: least, same: same[least]!, choice: choice[least * perWindow + prompt - 1 + same[least]!]! }
      : undefined;
  return { prompt, tokens, same, first };
}

/** The text that parts first: its number, the tokens that both models write, and what the edited model writes next. */
export type Parting = { readonly window: number; readonly same: number; readonly choice: number };

/** How an edited model goes on from `prompt`: `count` more tokens. */
export type Continue = (prompt: readonly number[], count: number) => Promise<readonly number[]>;

export const continueCheckpoint =
  (model: Model, settings: { readonly threads: number; readonly onProgress: OnProgress }): Continue =>
  async (prompt, count) =>
    count === 0 ? [] : (await continueTexts(model, [prompt], count, settings))[0]!;

/** The words of the text that parts first. */
export async function describeParting(
  { prompt, windows }: GreedyTexts,
  { window, same, choice }: Parting,
  dir: string,
  goOn: Continue,
): Promise<NonNullable<GreedyDivergence['worst']>> {
  const { tokenizer } = await loadLanguage(folderTexts(dir));
  const all = [...windows.windows[window]!];
  const parted = prompt + same;
  const edited = [choice, ...(await goOn([...all.slice(0, parted), choice], all.length - parted - 1))];
  const words = (tokens: readonly number[]): string => tokenizer.decode([...tokens], true);
  return {
    prompt: words(all.slice(0, prompt)),
    same: words(all.slice(prompt, parted)),
    dense: words(all.slice(parted)),
    edited: words(edited),
  };
}
