// Many short sequences with common prefixes, packed so that each prefix is computed once. The sequences of an item make a
// prefix tree: each node is a token, its ancestors are the tokens before it. Trees lie one after the other in rows of T
// places, a token before its descendants; the token at place i sees the one at j exactly if j ≤ i < subtreeEnds[j]
// (model/attention.ts). T is the size of the largest tree; smaller trees fill the rest of the rows, so few places stay
// empty.

import type { Windows } from '../text/index.js';
import type { EncodedRequest } from './encode.js';

export type PrefixTreeBatch = {
  /** Rows of T tokens; an empty place holds token 0, which no other token sees. */
  readonly rows: Windows;
  /** Tokens of the longest sequence. */
  readonly longest: number;
  /** Per row: the depth of each token in its tree, and the place where its subtree ends. */
  readonly depths: readonly Int32Array[];
  readonly subtreeEnds: readonly Int32Array[];
  /** The places that predict each sequence’s scored tokens: row · T + place in the row. */
  readonly scored: readonly { readonly sequence: number; readonly places: Int32Array }[];
};

export type BatchOptions = {
  /** Sequences of at most this many tokens and longer ones go into different batches. */
  readonly longBeyond: number;
  /** A tree takes more sequences while it has at most this many tokens. */
  readonly treeTokens: number;
  /** A batch takes more trees while it has at most this many tokens. */
  readonly batchTokens: number;
};

/** Packs the sequences of items into one or more batches. Sequences are numbered over all items. */
export function packPrefixTrees(
  items: readonly (readonly EncodedRequest[])[],
  options: BatchOptions,
): readonly PrefixTreeBatch[] {
  const trees: PrefixTree[] = [];
  let sequence = 0;
  for (const item of items) {
    let tree: PrefixTree | undefined;
    for (const { input, targets } of item) {
      const long = input.length > options.longBeyond;
      if (!tree || tree.long !== long || tree.size + tree.missing(input) > options.treeTokens) {
        tree = new PrefixTree(long);
        trees.push(tree);
      }
      tree.add(sequence++, input, targets.length);
    }
  }
  // Stable, so equal trees keep their order.
  trees.sort((a, b) => Number(b.long) - Number(a.long) || b.size - a.size);
  const batches: PrefixTreeBatch[] = [];
  for (let from = 0; from < trees.length; ) {
    let to = from;
    let tokens = 0;
    const fits = ({ long, size }: PrefixTree): boolean =>
      to === from || (long === trees[from]!.long && tokens + size <= options.batchTokens);
    while (to < trees.length && fits(trees[to]!)) tokens += trees[to++]!.size;
    batches.push(packRows(trees.slice(from, to)));
    from = to;
  }
  return batches;
}

const NONE = -1;

/** A prefix tree. A node knows its first child and its next sibling; node 0 is the root, before all tokens. */
class PrefixTree {
  /** Which side of `longBeyond` its sequences are on. */
  readonly long: boolean;
  private readonly tokens = [NONE];
  private readonly depths = [NONE];
  private readonly firstChild = [NONE];
  private readonly nextSibling = [NONE];
  private readonly leaves: { readonly sequence: number; readonly nodes: Int32Array }[] = [];

  constructor(long: boolean) {
    this.long = long;
  }

  /** Tokens of its longest sequence. */
  get longest(): number {
    return this.depths.reduce((most, depth) => Math.max(most, depth), NONE) + 1;
  }

  get size(): number {
    return this.tokens.length - 1;
  }

  /** How many nodes `input` would add. */
  missing(input: Int32Array): number {
    let node = 0;
    for (let t = 0; t < input.length; t++) {
      node = this.child(node, input[t]!);
      if (node === NONE) return input.length - t;
    }
    return 0;
  }

  /** Adds a sequence; its last `scored` tokens predict something. */
  add(sequence: number, input: Int32Array, scored: number): void {
    const nodes = new Int32Array(scored);
    let node = 0;
    for (const [t, token] of input.entries()) {
      const known = this.child(node, token);
      node = known === NONE ? this.grow(node, token) : known;
      if (t >= input.length - scored) nodes[t - input.length + scored] = node;
    }
    this.leaves.push({ sequence, nodes });
  }

  /** Writes the tree into a row from place `start` on; returns the places of each sequence’s scored nodes. */
  write(start: number, tokens: Int32Array, depths: Int32Array, subtreeEnds: Int32Array): typeof this.leaves {
    const placeOf = new Int32Array(this.tokens.length);
    let place = start;
    // Depth first, without recursion. When all children of a node are written, its subtree ends.
    const open: number[] = [];
    let node = this.firstChild[0]!;
    while (node !== NONE || open.length > 0) {
      if (node === NONE) {
        const done = open.pop()!;
        subtreeEnds[placeOf[done]!] = place;
        node = this.nextSibling[done]!;
        continue;
      }
      placeOf[node] = place;
      tokens[place] = this.tokens[node]!;
      depths[place] = this.depths[node]!;
      place++;
      open.push(node);
      node = this.firstChild[node]!;
    }
    return this.leaves.map(({ sequence, nodes }) => ({ sequence, nodes: nodes.map((one) => placeOf[one]!) }));
  }

  private child(node: number, token: number): number {
    let child = this.firstChild[node]!;
    while (child !== NONE && this.tokens[child] !== token) child = this.nextSibling[child]!;
    return child;
  }

  private grow(parent: number, token: number): number {
    const node = this.tokens.length;
    this.tokens.push(token);
    this.depths.push(this.depths[parent]! + 1);
    this.firstChild.push(NONE);
    this.nextSibling.push(this.firstChild[parent]!);
    this.firstChild[parent] = node;
    return node;
  }
}

/** Packs trees, largest first, each into the row where it leaves the least space. */
function packRows(trees: readonly PrefixTree[]): PrefixTreeBatch {
  const T = trees[0]!.size;
  const rows: Int32Array[] = [];
  const depths: Int32Array[] = [];
  const subtreeEnds: Int32Array[] = [];
  const scored: { sequence: number; places: Int32Array }[] = [];
  const withFree: number[][] = Array.from({ length: T + 1 }, () => []); // rows by their number of free places
  for (const tree of trees) {
    let free = tree.size;
    while (free <= T && withFree[free]!.length === 0) free++;
    let row = withFree[free]?.pop();
    if (row === undefined) {
      row = rows.length;
      free = T;
      rows.push(new Int32Array(T));
      depths.push(new Int32Array(T));
      subtreeEnds.push(new Int32Array(T).fill(T)); // only empty places see empty places, and they come last
    }
    const written = tree.write(T - free, rows[row]!, depths[row]!, subtreeEnds[row]!);
    for (const { sequence, nodes } of written) scored.push({ sequence, places: nodes.map((place) => row * T + place) });
    withFree[free - tree.size]!.push(row);
  }
  const longest = trees.reduce((most, tree) => Math.max(most, tree.longest), 0);
  return { rows: { length: T, windows: rows }, longest, depths, subtreeEnds, scored };
}
