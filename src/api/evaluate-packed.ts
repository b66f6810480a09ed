// Scores a .lw file with its own runtime, on the same windows and requests as the source checkpoint. Everything is read and
// checked before the weights. Text and tasks get separate decoders, each with as many positions as it needs: a text has few
// long windows, tasks have many short requests.

import { OptionError } from '../base/index.js';
import { type OpenDecoder, openDecoder, readPackedModel } from '../decoder/index.js';
import { summarise } from '../evaluate/index.js';
import { loadLanguage, scoreRequests, scoreWindows } from '../generation/index.js';
import { longestAlike, type ModelConfig } from '../model/index.js';
import { openPacked, type PackedModel } from '../packed/index.js';
import type { Evaluation, ManifestText } from '../records/index.js';
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
import type { WindowStart } from '../text/index.js';
import type { EncodedRequest, Likelihood, Outcome } from '../zeroshot/index.js';

/** The text and the requests to score. */
export type Asked = {
  readonly text: string | undefined;
  readonly tasks: TaskSettings | undefined;
  readonly sequenceLength: number | undefined;
  readonly windowStart: WindowStart | undefined;
  readonly seed: number;
};

export type Scores = {
  readonly text: Evaluation | undefined;
  /** The text that was scored, and how it was cut. */
  readonly source: ManifestText | undefined;
  readonly tasks: TasksResult | undefined;
};

/** The most requests at once. */
const SEQUENCES = 8;
/** The most bytes of all keys and values together, and of a whole decoder. */
const CACHE_BYTES = 2 ** 29;
const ALL_BYTES = 2 ** 32;

/** @throws OptionError E_OPTION_DEVICE, E_OPTION_SEQUENCE_LENGTH; CheckpointError, UnsupportedError, ResourceError */
export async function evaluatePacked(path: string, asked: Asked, settings: RunSettings): Promise<Scores> {
  const { device, onProgress } = settings;
  if (device !== 'cpu') {
    throw new OptionError(
      'E_OPTION_DEVICE',
      `--device: a .lw file runs on the cpu, got ${device}. Leave the option out, or score the checkpoint.`,
      { option: 'device', got: device },
    );
  }
  const packed = await openPacked(path);
  try {
    const { config } = await readPackedModel(packed);
    const { tokenizer } = await loadLanguage(packed, onProgress);
    const { text, tasks, windowStart: start, ...run } = asked;
    let prepared: PreparedText | undefined;
    if (text !== undefined) {
      onProgress({ kind: 'stage', stage: 'reading texts' });
      const length = windowLength({ config }, run.sequenceLength);
      const common = { role: 'test', order: 'all', start, seed: 0, onProgress } as const;
      prepared = await prepareText({ config }, tokenizer, { path: text, length, ...common });
    }
    const requests = tasks && (await readRequests({ ...run, tasks, onProgress }, { config }, tokenizer));
    return {
      text: prepared && (await scoreText(packed, prepared.windows, settings)),
      source: prepared?.record,
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
 * Groups sequences (by index) that one decoder may score. With longrope, the rotary frequencies of all positions depend on
 * the length, and a decoder uses those of the longest sequence it was opened for.
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
