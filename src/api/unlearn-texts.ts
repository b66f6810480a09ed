// The two texts of an unlearning, each parted by its windows: of every four the first two are trained on, the third chooses the
// layer and β, the last is scored at the end. Neighbours tell of the same thing, so each part knows it.

import { OptionError, shuffled } from '../base/index.js';
import type { Model } from '../model/index.js';
import { type PreparedText, prepareText, windowLength } from '../runs/index.js';
import { loadTokenizer, type Windows } from '../text/index.js';
import type { UnlearnSettings } from './unlearn-settings.js';

export type Parted = { readonly training: Windows; readonly validation: Windows; readonly heldOut: Windows };
export type UnlearnText = { readonly text: PreparedText; readonly parts: Parted };
export type UnlearnTexts = { readonly forget: UnlearnText; readonly retain: UnlearnText };

/** Each part has at least one window of them, training two. */
const LEAST_WINDOWS = 8;
/** Windows that are scored in a trial, and at the end. */
const MOST = { validation: 32, heldOut: 128 } as const;
/** Tokens in a row that two texts have in common only where one has a part of the other. */
const SHINGLE = 24;
/** The share of such runs in the shorter text with which a pair is none. */
const MOST_SHARED = 0.1;

/**
 * Reads, tokenises and parts both texts.
 * @throws OptionError E_OPTION_FORGET, E_OPTION_RETAIN for texts that are too short, or too much alike; and as `prepareText`
 */
export async function prepareUnlearnTexts(settings: UnlearnSettings, model: Model): Promise<UnlearnTexts> {
  const { windowStart: start, seed, onProgress } = settings;
  onProgress({ kind: 'stage', stage: 'reading texts' });
  const length = windowLength(model, settings.sequenceLength);
  const tokenizer = await loadTokenizer(model.checkpoint.dir, onProgress);
  const read = async (option: 'forget' | 'retain'): Promise<UnlearnText> => {
    const request = {
      path: settings[option],
      role: 'calibration',
      length,
      order: 'all',
      start,
      seed,
      onProgress,
    } as const;
    const text = await prepareText(model, tokenizer, request);
    const count = text.content.windows.length;
    if (count < LEAST_WINDOWS) {
      const message = `--${option}: expected at least ${LEAST_WINDOWS} windows of ${length} tokens, got ${count}. Give more text, or a lower --sequence-length.`;
      throw new OptionError(`E_OPTION_${option.toUpperCase()}`, message, { option, windows: count, length });
    }
    return { text, parts: part(text.content, settings) };
  };
  const texts = { forget: await read('forget'), retain: await read('retain') };
  requireApart(texts);
  return texts;
}

function part(all: Windows, { steps, batch, seed }: UnlearnSettings): Parted {
  const { windows } = all;
  const take = (quarters: readonly number[], most: number): Windows => {
    const found = windows.filter((_, i) => quarters.includes(i % 4));
    const chosen = shuffled(found.length, seed)
      .slice(0, most)
      .sort((a, b) => a - b);
    return { ...all, windows: chosen.map((i) => found[i]!) };
  };
  return {
    training: take([0, 1], Math.max(2, Math.ceil((steps * batch) / all.length))),
    validation: take([2], MOST.validation),
    heldOut: take([3], MOST.heldOut),
  };
}

/** Refuses a pair of which one text has a part of the other: what is to go cannot stay. */
function requireApart({ forget, retain }: UnlearnTexts): void {
  const runsOf = ({ text }: UnlearnText, stride: number): Set<string> => {
    const runs = new Set<string>();
    for (const window of text.content.windows) {
      // The first token may be one that every window begins with.
      for (let at = 1; at + SHINGLE <= window.length; at += stride) runs.add(window.subarray(at, at + SHINGLE).join());
    }
    return runs;
  };
  const [shorter, longer] = forget.text.record.tokens < retain.text.record.tokens ? [forget, retain] : [retain, forget];
  const all = runsOf(longer, 1);
  const some = runsOf(shorter, SHINGLE);
  const shared = [...some].filter((run) => all.has(run)).length / Math.max(1, some.size);
  if (shared <= MOST_SHARED) return;
  const message = `--retain: expected another text than --forget; ${Math.round(shared * 100)} % of the shorter one stands in both. What is to be suppressed cannot be kept.`;
  throw new OptionError('E_OPTION_RETAIN', message, { option: 'retain', shared });
}
