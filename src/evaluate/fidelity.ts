// How far an edited model's predictions are from the dense model's, token by token: KL(dense ‖ edited) of the next token's
// distribution in nats, and whether both find the same token likeliest. Counted are the T − 1 positions of a window that
// perplexity scores, or those of an answer. One value per token is kept; logits live for one run of the head.
// Two ways, judged against each other: models with one head between them run one graph on two residuals; otherwise the logits
// of both come here, and the plain code below computes the same in double precision.

import { NumericError, type Own, withResources } from '../base/index.js';
import type { Engine, HostTensor, Session } from '../engine/index.js';
import { headGraph, type Model } from '../model/index.js';
import { type Activations, type Content, inParallel, startsOf } from '../stream/index.js';
import { headRowsOf, readOut, scoredPlaces } from './read-out.js';
import { LOGITS_PER_RUN, slabOf } from './score.js';

/** The comparison of the scored tokens of each window, window after window. */
export type TokenFidelity = {
  /** Scored tokens of each window; where they differ in number, NaN, and `counts` has them. */
  readonly perWindow: number;
  readonly counts?: readonly number[];
  /** KL(dense ‖ edited), nats. */
  readonly divergence: Float32Array;
  /** The likeliest token by each model, the lowest of equals. */
  readonly denseChoice: Int32Array;
  readonly choice: Int32Array;
};

export type FidelitySummary = {
  readonly windows: number;
  readonly tokens: number;
  readonly divergence: number[];
  readonly tail: number;
  readonly agreement: number[];
};

export function emptyFidelity(windows: number, scored: number | readonly number[]): TokenFidelity {
  const counts = typeof scored === 'number' ? undefined : scored;
  const tokens = typeof scored === 'number' ? windows * scored : scored.reduce((a, b) => a + b, 0);
  return {
    perWindow: typeof scored === 'number' ? scored : Number.NaN,
    ...(counts ? { counts } : {}),
    divergence: new Float32Array(tokens),
    denseChoice: new Int32Array(tokens),
    choice: new Int32Array(tokens),
  };
}

/** `content`: what the streams are of, where not all rows but the last are scored. `logits`: the most in one run of a head. */
type FidelityOptions = { readonly content?: Content | undefined; readonly logits?: number | undefined };

/**
 * Compares two residual streams after the last block, for models that share the head of `model`. Of dialogues, `content`, the
 * answers count. A run of the head makes at most `logits` logits of each.
 * @throws NumericError E_NUMERIC_LOSS
 */
export async function compareStreams(
  engine: Engine,
  model: Model,
  stream: Activations,
  dense: Activations,
  options: FidelityOptions = {},
): Promise<TokenFidelity> {
  const { content, logits = LOGITS_PER_RUN } = options;
  return await withResources(async (own) => {
    const read = (residual: Activations) => headRowsOf(own, engine, model, residual, content);
    const { reader, rows } = await read(stream);
    const session = await own(engine.load(headGraph(reader, 'fidelity')));
    const reference = (await read(dense)).rows;
    const streams = { stream: rows, dense: reference, rows: rowsPerRun(reader, logits), content };
    return await compareSlabs(engine, streams, async (x, reference, set) => {
      const results = await session.run({ x, reference }, true);
      const [divergence, choice, denseChoice] = ['divergence', 'choice', 'referenceChoice'].map(
        (name) => results[name]!.data as Float32Array,
      ) as [Float32Array, Float32Array, Float32Array];
      for (const [row, value] of divergence.entries()) {
        set(row, { divergence: value, denseChoice: denseChoice[row]!, choice: choice[row]! });
      }
    });
  });
}

/**
 * Compares the residual streams after the last block of two models with heads of their own. A run of a head makes at most
 * `logits` logits.
 * @throws NumericError E_NUMERIC_LOSS
 */
export async function compareModels(
  engine: Engine,
  edited: { readonly model: Model; readonly stream: Activations },
  dense: { readonly model: Model; readonly stream: Activations },
  options: FidelityOptions = {},
): Promise<TokenFidelity> {
  const { content, logits = LOGITS_PER_RUN } = options;
  return await withResources(async (own) => {
    const { reader, rows } = await headRowsOf(own, engine, edited.model, edited.stream, content);
    const wanted = await headRowsOf(own, engine, dense.model, dense.stream, content);
    const session = await own(engine.load(headGraph(reader, 'logits')));
    const denseSession = await own(engine.load(headGraph(wanted.reader, 'logits')));
    const streams = { stream: rows, dense: wanted.rows, rows: rowsPerRun(wanted.reader, logits), content };
    return await compareSlabs(engine, streams, async (x, reference, set) => {
      const q = await logitsOf(denseSession, reference);
      const p = await logitsOf(session, x);
      const count = x.shape[0]!;
      const vocabulary = q.length / count;
      for (let row = 0; row < count; row++) {
        const [from, to] = [row * vocabulary, (row + 1) * vocabulary];
        set(row, compareRows(q.subarray(from, to), p.subarray(from, to)));
      }
    });
  });
}

const logitsOf = async (session: Session, x: HostTensor): Promise<Float32Array> =>
  (await session.run({ x }, true)).logits!.data as Float32Array;

/** Rows of a residual that the head reads at once, so that its logits fit. */
const rowsPerRun = ({ config }: Model, logits: number): number => Math.max(1, Math.floor(logits / config.vocabulary));

/** Logits of rows `first`, `first + 1`, … of a window's residual after the last block; `own` closes the session. */
export async function openLogits(
  own: Own,
  engine: Engine,
  model: Model,
  stream: Activations,
): Promise<(window: number, first: number, count: number) => Promise<Float32Array>> {
  const session = await own(engine.load(headGraph(model, 'logits')));
  const rows = await readOut(own, engine, model, stream);
  const { chunks, length: T, width } = rows;
  const places = chunks.flatMap((count, chunk) => Array.from({ length: count }, (_, at) => ({ chunk, at })));
  return async (window, first, count) => {
    const { chunk, at } = places[window]!;
    const from = (at * T + first) * width;
    const data = (await rows.read(chunk)).slice(from, from + count * width);
    return await logitsOf(session, { type: 'f32', shape: [count, width], data });
  };
}

type SetRow = (row: number, compared: RowComparison) => void;
type CompareSlab = (x: HostTensor, reference: HostTensor, set: SetRow) => Promise<void>;
type Streams = {
  readonly stream: Activations;
  readonly dense: Activations;
  readonly rows: number;
  readonly content?: Content | undefined;
};

/** Runs `compare` on slabs of both streams of at most `rows` rows, as many at once as the engine has workers. */
async function compareSlabs(
  engine: Engine,
  { stream, dense, rows: most, content }: Streams,
  compare: CompareSlab,
): Promise<TokenFidelity> {
  const { chunks, length: T } = stream;
  const windows = chunks.reduce((a, b) => a + b, 0);
  const scored = scoredPlaces(content, T);
  const counts = Array.from({ length: windows }, (_, window) => scored(window).length);
  const even = counts.every((count) => count === counts[0]);
  const result = emptyFidelity(windows, even ? (counts[0] ?? 0) : counts);
  const offsets = startsOf(counts);
  const ranks = Array.from({ length: windows }, (_, window) => ranksOf(scored(window), T));
  const firsts = startsOf(chunks);
  await inParallel(engine.concurrency, chunks.length, async (chunk) => {
    const [x, reference] = [await stream.read(chunk), await dense.read(chunk)];
    const rows = chunks[chunk]! * T;
    for (let row = 0; row < rows; row += most) {
      const count = Math.min(most, rows - row);
      const set: SetRow = (at, compared) => {
        const [window, t] = [firsts[chunk]! + Math.floor((row + at) / T), (row + at) % T];
        const rank = ranks[window]![t]!;
        if (rank >= 0) setToken(result, offsets[window]! + rank, compared);
      };
      await compare(slabOf(x, stream.width, row, count), slabOf(reference, dense.width, row, count), set);
    }
  });
  return result;
}

/** By row: its number among those that are scored; −1 where it is not. */
const ranksOf = (places: ArrayLike<number>, length: number): Int32Array => {
  const ranks = new Int32Array(length).fill(-1);
  for (let i = 0; i < places.length; i++) ranks[places[i]!] = i;
  return ranks;
};

export type RowComparison = { readonly divergence: number; readonly denseChoice: number; readonly choice: number };

/** @throws NumericError E_NUMERIC_LOSS for a divergence that is not a number */
export function setToken(result: TokenFidelity, at: number, row: RowComparison): void {
  if (!Number.isFinite(row.divergence)) {
    const window = startsOf(countsOf(result)).findLastIndex((start) => start <= at);
    throw new NumericError(
      'E_NUMERIC_LOSS',
      `The divergence from the dense model on window ${window} is ${row.divergence}. Check the text and both checkpoints.`,
      { window },
    );
  }
  // A divergence is never below 0; rounding can make it −1e-7.
  result.divergence[at] = Math.max(0, row.divergence);
  result.denseChoice[at] = row.denseChoice;
  result.choice[at] = row.choice;
}

/** Compares two rows of logits over one vocabulary, in double precision. */
export function compareRows(dense: Float32Array, edited: Float32Array): RowComparison {
  const [q, p] = [normaliser(dense), normaliser(edited)];
  let divergence = 0;
  for (let i = 0; i < dense.length; i++) {
    const logQ = dense[i]! - q.log;
    divergence += Math.exp(logQ) * (logQ - (edited[i]! - p.log));
  }
  return { divergence, denseChoice: q.choice, choice: p.choice };
}

/** The number of the largest logit, the lowest of equals, and ln Σ exp(logit). */
export function normaliser(logits: Float32Array): { readonly choice: number; readonly log: number } {
  let choice = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[choice]!) choice = i;
  const largest = logits[choice]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - largest);
  return { choice, log: largest + Math.log(sum) };
}

const countsOf = ({ perWindow, counts, divergence }: TokenFidelity): readonly number[] =>
  counts ?? Array.from({ length: divergence.length / perWindow }, () => perWindow);

/** Means of each window, and the 99.9th percentile over all tokens. */
export function summariseFidelity(fidelity: TokenFidelity): FidelitySummary {
  const { divergence, denseChoice, choice } = fidelity;
  const tokens = divergence.length;
  const counts = countsOf(fidelity);
  const starts = startsOf(counts);
  const windows = counts.length;
  const meanOver = (window: number, value: (at: number) => number): number => {
    const [from, count] = [starts[window]!, counts[window]!];
    let sum = 0;
    for (let t = 0; t < count; t++) sum += value(from + t);
    return sum / count;
  };
  const each = (value: (at: number) => number): number[] =>
    Array.from({ length: windows }, (_, window) => meanOver(window, value));
  return {
    windows,
    tokens,
    divergence: each((at) => divergence[at]!),
    tail: Float32Array.from(divergence).sort()[tokens - Math.floor(tokens / 1000) - 1]!,
    agreement: each((at) => (choice[at] === denseChoice[at] ? 1 : 0)),
  };
}
