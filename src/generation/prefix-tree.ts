// The prefix tree of scored sequences, as the order in which a decoder reads them. Sequences are sorted by their tokens. So
// each shares as long a prefix as possible with the one before it; the decoder keeps that prefix and reads only the rest.
// An item's context is read once for all its choices, and few-shot examples once for the items that follow them.

import type { EncodedRequest } from '../zeroshot/index.js';
import { commonLength } from './slots.js';

/** A token whose probability is wanted, and the sequence that wants it. */
export type Target = { readonly sequence: number; readonly token: number };

/** A branch of the tree: the decoder keeps the first `depth` tokens it has read, and reads `tokens` after them. */
export type Branch = {
  readonly depth: number;
  readonly tokens: readonly number[];
  /** The targets after each place in `tokens`. The last place always has some. */
  readonly targets: ReadonlyMap<number, readonly Target[]>;
};

/** The branches of a subtree, depth first. */
export type Traversal = readonly Branch[];

/** What one decoder step reads: tokens for the places from `from` on, and the targets of each row of logits. */
export type ReadStep = {
  readonly from: number;
  readonly tokens: readonly number[];
  readonly logits: 'last' | 'all';
  readonly targets: readonly (readonly Target[])[];
};

/** Divides the sequences into at most `count` traversals of about the same number of tokens. */
export function planTraversals(sequences: readonly EncodedRequest[], count: number): readonly Traversal[] {
  const order = Array.from(sequences.keys()).sort((a, b) => compare(sequences[a]!.input, sequences[b]!.input));
  const unread = order.map((one, i) => {
    const { input } = sequences[one]!;
    return input.length - (i === 0 ? 0 : commonLength(sequences[order[i - 1]!]!.input, input));
  });
  const total = unread.reduce((sum, tokens) => sum + tokens, 0);
  const traversals: number[][] = Array.from({ length: count }, () => []);
  let read = 0;
  for (const [i, one] of order.entries()) {
    traversals[Math.min(count - 1, Math.floor((read / total) * count))]!.push(one);
    read += unread[i]!;
  }
  return traversals.filter(({ length }) => length > 0).map((members) => traverse(sequences, members));
}

/** Cuts a traversal into steps, each with at most `rows` rows of logits. */
export function* readSteps(traversal: Traversal, rows: number): Generator<ReadStep> {
  for (const { depth, tokens, targets } of traversal) {
    for (let to = 0; to < tokens.length; ) {
      const start = to;
      while (!targets.has(to)) to++;
      const logits = to === start ? 'all' : 'last';
      const wanted = [targets.get(to++)!];
      while (logits === 'all' && wanted.length < rows && targets.has(to)) wanted.push(targets.get(to++)!);
      yield { from: depth + start, tokens: tokens.slice(start, to), logits, targets: wanted };
    }
  }
}

function traverse(sequences: readonly EncodedRequest[], members: readonly number[]): Traversal {
  const traversal: {
    readonly depth: number;
    readonly tokens: readonly number[];
    readonly targets: Map<number, Target[]>;
  }[] = [];
  /** The branch that reads each place of the current sequence. */
  const readBy: (typeof traversal)[number][] = [];
  let before = new Int32Array(0);
  for (const sequence of members) {
    const { input, targets } = sequences[sequence]!;
    const depth = commonLength(before, input);
    readBy.length = depth;
    if (depth < input.length) {
      const branch = { depth, tokens: [...input.subarray(depth)], targets: new Map() };
      traversal.push(branch);
      while (readBy.length < input.length) readBy.push(branch);
    }
    for (const [i, token] of targets.entries()) {
      const place = input.length - targets.length + i;
      const branch = readBy[place]!;
      const there = branch.targets.get(place - branch.depth) ?? [];
      there.push({ sequence, token });
      branch.targets.set(place - branch.depth, there);
    }
    before = input as typeof before;
  }
  return traversal;
}

/** Orders two sequences: by the lower token at the first difference, else the shorter first. */
function compare(a: Int32Array, b: Int32Array): number {
  const shared = commonLength(a, b);
  return shared < Math.min(a.length, b.length) ? a[shared]! - b[shared]! : a.length - b.length;
}
