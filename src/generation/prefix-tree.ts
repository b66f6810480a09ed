// Sequences of which some tokens are asked for, as walks of a decoder, which keeps what it has read: taken in the order of
// their tokens, each begins with as much as any does of the one before it, and only the rest is read. So an item's context is
// read once for all its choices, and examples once for the items behind them.

import type { EncodedRequest } from '../zeroshot/index.js';
import { commonLength } from './slots.js';

/** A token whose probability is asked for, and the sequence that asks. */
export type Ask = { readonly sequence: number; readonly token: number };

/** Tokens that are read behind the first `keep` of those read before. */
export type Stride = {
  readonly keep: number;
  readonly tokens: readonly number[];
  /** What may follow, by place in `tokens`. After the last of them something always does. */
  readonly asks: ReadonlyMap<number, readonly Ask[]>;
};

export type Walk = readonly Stride[];

/** A part of a step: tokens that go to the places from `from` on, and what is asked at each of their logits' rows. */
export type Leg = {
  readonly from: number;
  readonly tokens: readonly number[];
  readonly logits: 'last' | 'all';
  readonly asks: readonly (readonly Ask[])[];
};

/** Up to `count` walks of about as many tokens each, which together pass all sequences. */
export function planWalks(sequences: readonly EncodedRequest[], count: number): readonly Walk[] {
  const order = Array.from(sequences.keys()).sort((a, b) => compare(sequences[a]!.input, sequences[b]!.input));
  const unread = order.map((one, i) => {
    const { input } = sequences[one]!;
    return input.length - (i === 0 ? 0 : commonLength(sequences[order[i - 1]!]!.input, input));
  });
  const total = unread.reduce((sum, tokens) => sum + tokens, 0);
  const walks: number[][] = Array.from({ length: count }, () => []);
  let read = 0;
  for (const [i, one] of order.entries()) {
    walks[Math.min(count - 1, Math.floor((read / total) * count))]!.push(one);
    read += unread[i]!;
  }
  return walks.filter(({ length }) => length > 0).map((members) => walkThrough(sequences, members));
}

/** The parts that a walk is read in; of each at most `rows` rows of logits are wanted. */
export function* legsOf(walk: Walk, rows: number): Generator<Leg> {
  for (const { keep, tokens, asks } of walk) {
    for (let to = 0; to < tokens.length; ) {
      const start = to;
      while (!asks.has(to)) to++;
      const logits = to === start ? 'all' : 'last';
      const wanted = [asks.get(to++)!];
      while (logits === 'all' && wanted.length < rows && asks.has(to)) wanted.push(asks.get(to++)!);
      yield { from: keep + start, tokens: tokens.slice(start, to), logits, asks: wanted };
    }
  }
}

function walkThrough(sequences: readonly EncodedRequest[], members: readonly number[]): Walk {
  const walk: { readonly keep: number; readonly tokens: readonly number[]; readonly asks: Map<number, Ask[]> }[] = [];
  /** Which stride reads each place of the sequence at hand. */
  const readBy: (typeof walk)[number][] = [];
  let before = new Int32Array(0);
  for (const sequence of members) {
    const { input, targets } = sequences[sequence]!;
    const keep = commonLength(before, input);
    readBy.length = keep;
    if (keep < input.length) {
      const stride = { keep, tokens: [...input.subarray(keep)], asks: new Map() };
      walk.push(stride);
      while (readBy.length < input.length) readBy.push(stride);
    }
    for (const [i, token] of targets.entries()) {
      const place = input.length - targets.length + i;
      const { keep: start, asks } = readBy[place]!;
      const there = asks.get(place - start) ?? [];
      there.push({ sequence, token });
      asks.set(place - start, there);
    }
    before = input as typeof before;
  }
  return walk;
}

/** Which comes first: at the first difference the lower token, else the shorter. */
function compare(a: Int32Array, b: Int32Array): number {
  const shared = commonLength(a, b);
  return shared < Math.min(a.length, b.length) ? a[shared]! - b[shared]! : a.length - b.length;
}
