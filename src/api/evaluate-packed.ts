// Scores a .lw file with its own runtime, on the same windows and requests as the source checkpoint. Everything is read and
// checked before the weights. Text and tasks get separate decoders, each with as many positions as it needs: a text has few
// long windows, tasks have many short requests.

import { OptionError, withResources } from '../base/index.js';
import {
  DECODER_DEVICES,
  type DecoderDevice,
  type OpenDecoder,
  openDecoder,
  readPackedModel,
} from '../decoder/index.js';
import { emptyFidelity, summarise } from '../evaluate/index.js';
import {
  argmax,
  loadLanguage,
  readWindows,
  scoreRequests,
  scoreWindows,
  type VisitLogits,
  writeDenseTexts,
  writeGreedily,
} from '../generation/index.js';
import { longestAlike, type Model, type ModelConfig } from '../model/index.js';
import { openPacked, type PackedModel } from '../packed/index.js';
import type { Evaluation, Fidelity, ManifestText } from '../records/index.js';
import {
  oneOf,
  openEngine,
  outcomesOf,
  type PreparedText,
  prepareText,
  type RunSettings,
  readRequests,
  resultOf,
  type TaskRequests,
  type TaskSettings,
  type TasksResult,
  windowLength,
} from '../runs/index.js';
import { scoringOf } from '../stream/index.js';
import { loadTokenizer, type WindowStart, type Windows } from '../text/index.js';
import type { EncodedRequest, Likelihood, Outcome } from '../zeroshot/index.js';
import { collectFidelity, fidelityOf, greedyOf, openDense, requireSameWindows, runDense } from './dense-model.js';

/** The text and the requests to score. */
export type Asked = {
  readonly text: string | undefined;
  readonly tasks: TaskSettings | undefined;
  readonly sequenceLength: number | undefined;
  readonly windowStart: WindowStart | undefined;
  readonly seed: number;
  /** The original checkpoint to compare with. */
  readonly dense: string | undefined;
  readonly greedyTokens: number;
};

export type Scores = {
  readonly text: Evaluation | undefined;
  /** The text that was scored, and how it was cut. */
  readonly source: ManifestText | undefined;
  /** How far the predictions are from the dense model's; undefined without one. */
  readonly fidelity: Fidelity | undefined;
  /** The calibration text of the scored model's record; undefined where it names none. */
  readonly calibration: ManifestText | undefined;
  readonly tasks: TasksResult | undefined;
};

export const NO_TEXT = { text: undefined, source: undefined, fidelity: undefined } as const;

/** The length of the windows that both models can read. @throws OptionError E_OPTION_SEQUENCE_LENGTH */
export function longestWindow(model: WithConfig, dense: WithConfig | undefined, asked: number | undefined): number {
  const length = windowLength(model, asked);
  return dense ? Math.min(length, windowLength(dense, asked)) : length;
}

type WithConfig = { readonly config: ModelConfig };

type PackedSettings = RunSettings & { readonly device: DecoderDevice };

/** The most requests at once. */
const SEQUENCES = 8;
/** The most bytes of all keys and values together, and of a whole decoder in the processor’s memory. */
const CACHE_BYTES = 2 ** 29;
const ALL_BYTES = 2 ** 32;

/** @throws OptionError E_OPTION_DEVICE, E_OPTION_SEQUENCE_LENGTH; CheckpointError, UnsupportedError, ResourceError */
export async function evaluatePacked(path: string, asked: Asked, given: RunSettings): Promise<Scores> {
  const device = oneOf('device', given.device, DECODER_DEVICES);
  const settings = { ...given, device };
  const { onProgress } = settings;
  if (device !== 'cpu' && asked.dense !== undefined) {
    throw new OptionError(
      'E_OPTION_DEVICE',
      `--device ${device}: a .lw file and the original of --dense are compared on the cpu. Leave out one of the two options.`,
      { option: 'device', got: device },
    );
  }
  const packed = await openPacked(path);
  try {
    const { config } = await readPackedModel(packed);
    const { tokenizer } = await loadLanguage(packed, onProgress);
    const { text, tasks, windowStart: start, dense: original, greedyTokens, ...run } = asked;
    const dense = original === undefined ? undefined : await openDense(original, config, settings);
    let prepared: PreparedText | undefined;
    if (text !== undefined) {
      onProgress({ kind: 'stage', stage: 'reading texts' });
      const length = longestWindow({ config }, dense, run.sequenceLength);
      const request = { path: text, length, role: 'test', order: 'all', start, seed: 0, onProgress } as const;
      prepared = await prepareText({ config }, tokenizer, request);
      if (dense) {
        const denseTokenizer = await loadTokenizer(dense.checkpoint.dir, onProgress);
        requireSameWindows(prepared.content, (await prepareText(dense, denseTokenizer, request)).content);
      }
    }
    const requests = tasks && (await readRequests({ ...run, tasks, onProgress }, { config }, tokenizer));
    return {
      ...(prepared ? await scoreText(packed, prepared, dense, { ...settings, greedyTokens }) : NO_TEXT),
      calibration: packed.directory.calibration,
      tasks: requests && resultOf(requests, await scoreTasks(packed, config, requests, settings)),
    };
  } finally {
    await packed.close();
  }
}

/** The losses on a text, and the comparison with the dense model if there is one. */
function scoreText(
  packed: PackedModel,
  { content: windows, record }: PreparedText,
  dense: Model | undefined,
  settings: PackedSettings & { readonly greedyTokens: number },
): Promise<Pick<Scores, 'text' | 'source' | 'fidelity'>> {
  const { onProgress } = settings;
  return withResources(async (own) => {
    const engine = dense && (await own(openEngine(dense, settings)));
    const stream = engine && (await runDense(own, engine, dense!, windows, 'the dense model', settings));
    const collected = stream && (await collectFidelity(own, engine, dense!, stream, windows));
    const nll = await withDecoder(packed, { positions: windows.length, sequences: 1 }, settings, async (decoder) => {
      onProgress({ kind: 'stage', stage: 'evaluating', total: windows.windows.length, unit: 'window' });
      return await scoreWindows(decoder, windows, onProgress, collected?.visit);
    });
    const greedy = dense && (await compareGreedily(packed, dense, windows, settings));
    const fidelity = collected && fidelityOf(collected.tokens, greedy ?? null);
    return { text: summarise(nll, scoringOf(windows)), source: record, fidelity };
  });
}

/** Where a packed model parts from the dense model's greedy texts. */
async function compareGreedily(
  packed: PackedModel,
  dense: Model,
  { windows, length }: Windows,
  settings: PackedSettings & { readonly greedyTokens: number },
): Promise<Fidelity['greedy']> {
  const texts = await writeDenseTexts(dense, { windows, length }, settings.greedyTokens, settings);
  if (!texts) return null;
  const T = texts.windows.length;
  return await withDecoder(packed, { positions: T, sequences: 1 }, settings, async (decoder) => {
    const { onProgress } = settings;
    const { vocabulary } = decoder.info;
    const tokens = emptyFidelity(texts.windows.windows.length, T - 1);
    const visit: VisitLogits = (window, first, logits) => {
      for (let row = 0; row * vocabulary < logits.length; row++) {
        const at = window * (T - 1) + first + row;
        tokens.choice[at] = argmax(logits.subarray(row * vocabulary, (row + 1) * vocabulary));
        tokens.denseChoice[at] = texts.windows.windows[window]![first + row + 1]!;
      }
    };
    onProgress({ kind: 'stage', stage: 'greedy texts', total: texts.windows.windows.length, unit: 'window' });
    await readWindows(decoder, texts.windows, visit, onProgress);
    const goOn = async (prompt: readonly number[], count: number): Promise<readonly number[]> =>
      (await writeGreedily(decoder, [prompt], count))[0]!;
    return await greedyOf(texts, tokens, dense.checkpoint.dir, goOn);
  });
}

async function scoreTasks(
  packed: PackedModel,
  config: ModelConfig,
  requests: TaskRequests,
  settings: PackedSettings,
): Promise<readonly Outcome[]> {
  const { onProgress } = settings;
  const all = requests.sequences.flat();
  const results = new Array<Likelihood>(all.length);
  const groups = splitByRotation(config, all);
  for (const [i, group] of groups.entries()) {
    const positions = group.reduce((most, one) => Math.max(most, all[one]!.input.length), 0);
    const sequences = sequencesFor(packed, config, positions, settings.device);
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
  { widths, headDim }: ModelConfig,
  positions: number,
  device: DecoderDevice,
): number {
  const room = device === 'cpu' ? Math.min(CACHE_BYTES, (ALL_BYTES - weightBytes) / 2) : CACHE_BYTES;
  const kvHeads = widths.reduce((sum, block) => sum + block.kvHeads, 0);
  const each = 8 * kvHeads * headDim * positions;
  return Math.max(1, Math.min(SEQUENCES, Math.floor(room / each)));
}

async function withDecoder<T>(
  packed: PackedModel,
  options: { readonly positions: number; readonly sequences: number },
  { threads, device, onProgress }: PackedSettings,
  use: (decoder: OpenDecoder) => Promise<T>,
): Promise<T> {
  onProgress({ kind: 'stage', stage: 'opening the model' });
  const decoder = await openDecoder(packed, { threads, device, ...options });
  try {
    return await use(decoder);
  } finally {
    await decoder.close();
  }
}
