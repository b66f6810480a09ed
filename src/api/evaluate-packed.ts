// What a .lw file scores, through the runtime that runs it: the windows and the requests are those of the checkpoint it was
// made from. Everything is read and checked before the weights are. Text and tasks are scored by a decoder each, which has as
// many positions as it needs: there are few long windows and many short requests.

import { OptionError } from '../base/index.js';
import { type OpenDecoder, openDecoder, readPackedModel } from '../decoder/index.js';
import { summarise } from '../evaluate/index.js';
import { loadLanguage, scoreRequests, scoreWindows } from '../generation/index.js';
import { longestAlike, type ModelConfig } from '../model/index.js';
import { openPacked, type PackedModel } from '../packed/index.js';
import type { Evaluation } from '../records/index.js';
import type { TaskSettings } from '../runs/index.js';
import {
  outcomesOf,
  type PreparedText,
  prepareText,
  type RunSettings,
  readRequests,
  resultOf,
  type TaskRequests,
  type TasksResult,
  windowLength,
} from '../runs/index.js';
import type { EncodedRequest, Likelihood, Outcome } from '../zeroshot/index.js';

/** What a model is asked. */
export type Asked = {
  readonly text: string | undefined;
  readonly tasks: TaskSettings | undefined;
  readonly sequenceLength: number | undefined;
  readonly seed: number;
};

export type Scores = { readonly text: Evaluation | undefined; readonly tasks: TasksResult | undefined };

/** Requests that are under way at once at most. */
const SEQUENCES = 8;
/** What their keys and values may take together, and of all bytes that a decoder can have. */
const CACHE_BYTES = 2 ** 29;
const ALL_BYTES = 2 ** 32;

/** @throws OptionError E_OPTION_DEVICE, E_OPTION_SEQUENCE_LENGTH; CheckpointError, UnsupportedError, ResourceError */
export async function evaluatePacked(path: string, asked: Asked, settings: RunSettings): Promise<Scores> {
  const { device, onProgress } = settings;
  if (device !== 'cpu') {
    throw new OptionError(
      'E_OPTION_DEVICE',
      `--device: a .lw file runs on the cpu, got ${device}. Leave the option out, or give the checkpoint.`,
      { option: 'device', got: device },
    );
  }
  const packed = await openPacked(path);
  try {
    const { config } = await readPackedModel(packed);
    const { tokenizer } = await loadLanguage(packed, onProgress);
    const { text, tasks, ...run } = asked;
    let windows: PreparedText['windows'] | undefined;
    if (text !== undefined) {
      onProgress({ kind: 'stage', stage: 'reading texts' });
      const length = windowLength({ config }, run.sequenceLength);
      const common = { role: 'test', order: 'all', seed: 0, onProgress } as const;
      windows = (await prepareText({ config }, tokenizer, { path: text, length, ...common })).windows;
    }
    const requests = tasks && (await readRequests({ ...run, tasks, onProgress }, { config }, tokenizer));
    return {
      text: windows && (await scoreText(packed, windows, settings)),
      tasks: requests && resultOf(requests, await scoreTasks(packed, config, requests, settings)),
    };
  } finally {
    await packed.close();
  }
}

function scoreText(packed: PackedModel, windows: PreparedText['windows'], settings: RunSettings): Promise<Evaluation> {
  const { onProgress } = settings;
  return withDecoder(packed, { positions: windows.length, sequences: 1 }, settings, async (decoder) => {
    onProgress({ kind: 'stage', stage: 'evaluating', total: windows.windows.length, unit: 'window' });
    return summarise(await scoreWindows(decoder, windows, onProgress), windows.length);
  });
}

async function scoreTasks(
  packed: PackedModel,
  config: ModelConfig,
  requests: TaskRequests,
  settings: RunSettings,
): Promise<readonly Outcome[]> {
  const { onProgress } = settings;
  const all = requests.sequences.flat();
  const results = new Array<Likelihood>(all.length);
  const groups = splitByRotation(config, all);
  for (const [i, group] of groups.entries()) {
    const positions = group.reduce((most, one) => Math.max(most, all[one]!.input.length), 0);
    const sequences = sequencesFor(packed, config, positions);
    await withDecoder(packed, { positions, sequences }, settings, async (decoder) => {
      const part = groups.length > 1 ? `, part ${i + 1} of ${groups.length}` : '';
      onProgress({ kind: 'stage', stage: `tasks${part}`, total: group.length, unit: 'request' });
      const some = await scoreRequests(
        decoder,
        group.map((one) => all[one]!),
        onProgress,
      );
      for (const [j, one] of group.entries()) results[one] = some[j]!;
    });
  }
  let at = 0;
  return outcomesOf(
    requests,
    requests.sequences.map((item) => item.map(() => results[at++]!)),
  );
}

/**
 * The numbers of the sequences that one decoder may score. Where a model turns all positions of a long sequence by other
 * frequencies (longrope), a decoder has those of the longest it was opened for.
 */
function splitByRotation({ rope }: ModelConfig, all: readonly EncodedRequest[]): readonly (readonly number[])[] {
  const numbers = [...all.keys()];
  const isLong = (one: number): boolean => all[one]!.input.length > longestAlike(rope);
  const groups = [numbers.filter((one) => !isLong(one)), numbers.filter(isLong)];
  return groups.filter(({ length }) => length > 0);
}

function sequencesFor(
  { weightBytes }: PackedModel,
  { blocks, kvHeads, headDim }: ModelConfig,
  positions: number,
): number {
  const room = Math.min(CACHE_BYTES, (ALL_BYTES - weightBytes) / 2);
  const each = 8 * blocks * kvHeads * headDim * positions;
  return Math.max(1, Math.min(SEQUENCES, Math.floor(room / each)));
}

async function withDecoder<T>(
  packed: PackedModel,
  options: { readonly positions: number; readonly sequences: number },
  { threads, onProgress }: RunSettings,
  use: (decoder: OpenDecoder) => Promise<T>,
): Promise<T> {
  onProgress({ kind: 'stage', stage: 'opening the model' });
  const decoder = await openDecoder(packed, { threads, ...options });
  try {
    return await use(decoder);
  } finally {
    await decoder.close();
  }
}
