// A decoder without a model: the logits of a position are a hash of the last few tokens, so that what a request gets can
// be computed on the side, and everything the contract forbids is an error. Steps take a turn of the event loop.

import { createRng } from '../../src/base/index.js';
import type { Decoder, DecoderInfo, GreedyWriter, StepPart } from '../../src/decoder/index.js';

export type FakeDecoder = Decoder & {
  /** Sequences open now. */
  readonly openCount: number;
  /** The parts of every step. */
  readonly steps: readonly (readonly StepPart[])[];
  /** How often tokens were written greedily, and how many were yielded. */
  readonly written: { times: number; tokens: number };
  /** Makes the next step fail. */
  failNext(error: Error): void;
};

const CONTEXT = 3;

/** The logits after `tokens`. */
export function fakeLogits(tokens: readonly number[], vocabulary: number): Float32Array {
  let seed = 7;
  for (const token of tokens.slice(-CONTEXT)) seed = (Math.imul(seed, 31) + token + 1) >>> 0;
  const rng = createRng(seed);
  return Float32Array.from({ length: vocabulary }, () => 6 * rng.uniform() - 3);
}

type FakeOptions = Partial<DecoderInfo> & {
  readonly delay?: number;
  /** Writes greedily, so many tokens before they are looked at, for at most `most` sequences. Defaults to not at all. */
  readonly greedy?: { readonly ahead: number; readonly most: number } | undefined;
};

export function createFakeDecoder(options: FakeOptions = {}): FakeDecoder {
  const { delay, greedy, ...given } = options;
  const info: DecoderInfo = { vocabulary: 50, maxPositions: 64, sequences: 3, bytes: 1000, threads: 1, ...given };
  const open = new Map<number, number[]>();
  const steps: (readonly StepPart[])[] = [];
  let failure: Error | undefined;
  let busy = false;
  const written = { times: 0, tokens: 0 };
  const writing = new Set<number>();
  const require = (sequence: number): number[] => {
    if (writing.has(sequence)) throw new Error(`sequence ${sequence} is being written`);
    const tokens = open.get(sequence);
    if (!tokens) throw new Error(`sequence ${sequence} is not open`);
    return tokens;
  };
  const pause = (): Promise<void> =>
    new Promise((resolve) => (delay === undefined ? setImmediate(resolve) : setTimeout(resolve, delay)));
  const takeFailure = (): void => {
    const error = failure;
    failure = undefined;
    if (error) throw error;
  };
  const write: GreedyWriter['write'] = async function* (starts, count) {
    if (busy) throw new Error('writing while a step runs');
    if (starts.length === 0 || starts.length > greedy!.most || count < 1) throw new Error('a wrong number of starts');
    const all = starts.map(({ sequence }) => require(sequence));
    if (new Set(all).size < all.length) throw new Error('a sequence twice');
    const begins = all.map(({ length }) => length);
    if (begins.some((begin) => begin + count > info.maxPositions)) throw new Error('past the last position');
    busy = true;
    written.times++;
    for (const { sequence } of starts) writing.add(sequence);
    const next = starts.map(({ token }) => token);
    const made: { token: number; logit: number }[][] = [];
    let done = 0;
    try {
      while (done < count) {
        for (; made.length < Math.min(count, done + greedy!.ahead); ) {
          const choices = all.map((tokens, i) => {
            tokens.push(next[i]!);
            const logits = fakeLogits(tokens, info.vocabulary);
            next[i] = logits.indexOf(Math.max(...logits));
            return { token: next[i]!, logit: logits[next[i]!]! };
          });
          made.push(choices);
        }
        await pause();
        takeFailure();
        written.tokens++;
        yield made[done++]!;
      }
    } finally {
      await pause();
      for (const [i, tokens] of all.entries()) tokens.length = begins[i]! + done;
      for (const { sequence } of starts) writing.delete(sequence);
      busy = false;
    }
  };
  return {
    info,
    steps,
    written,
    greedy: greedy && { most: greedy.most, write },
    get openCount() {
      return open.size;
    },
    failNext: (error) => {
      failure = error;
    },
    open() {
      const sequence = Array.from({ length: info.sequences }, (_, i) => i).find((i) => !open.has(i));
      if (sequence === undefined) throw new Error('all sequences are taken');
      open.set(sequence, []);
      return sequence;
    },
    async step(parts) {
      if (busy) throw new Error('a step while another runs');
      if (parts.length === 0) throw new Error('a step without parts');
      busy = true;
      await pause();
      busy = false;
      takeFailure();
      steps.push(parts);
      if (new Set(parts.map(({ sequence }) => sequence)).size < parts.length) throw new Error('a sequence twice');
      return parts.map(({ sequence, tokens, logits }) => {
        const all = require(sequence);
        if (tokens.length === 0) throw new Error('a part without tokens');
        const rows: Float32Array[] = [];
        for (const token of tokens) {
          if (!(token >= 0 && token < info.vocabulary)) throw new Error(`token ${token} is not in the vocabulary`);
          all.push(token);
          rows.push(fakeLogits(all, info.vocabulary));
        }
        if (all.length > info.maxPositions) throw new Error('past the last position');
        const wanted = logits === 'all' ? rows : logits === 'last' ? rows.slice(-1) : [];
        const result = new Float32Array(wanted.length * info.vocabulary);
        for (const [i, row] of wanted.entries()) result.set(row, i * info.vocabulary);
        return result;
      });
    },
    truncate(sequence, length) {
      const tokens = require(sequence);
      if (length > tokens.length) throw new Error('truncate makes longer');
      tokens.length = length;
    },
    release(sequence) {
      require(sequence);
      open.delete(sequence);
    },
    async close() {
      open.clear();
    },
  };
}
