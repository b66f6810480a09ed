// Byte pair encoding as in the Rust library: of all neighbouring pairs that can be merged, the one of lowest rank is merged
// first, the leftmost of equals. Pairs are in a heap, so the time is n log n for a piece of any length.
//
// A tokenizer like LLaMA-2’s does not cut its text, so one piece is the whole text. It is cut here between two characters
// that no merge can join: both are words of the vocabulary, and no merge has a left side that ends in the first and a right
// side that begins with the second. Merges on both sides then never meet, so the tokens are the same, and repeated words
// can be remembered.

import { createPairTable, type PairTable } from './pair-table.js';
import type { Part } from './part.js';
import type { TokenModel } from './token-model.js';
import { byteTokens, readVocabulary, remember } from './vocabulary.js';

type Rules = {
  readonly words: ReadonlyMap<string, number>;
  /** The rank of a pair of ids. */
  readonly ranks: PairTable;
  /** The result of the merge of a rank. */
  readonly made: Int32Array;
  readonly prefix: string;
  readonly suffix: string;
  readonly bytes: Int32Array | undefined;
  readonly unknown: { readonly id: number | undefined; readonly fuses: boolean } | undefined;
};

const MOST_MERGES = 1 << 21; // a heap's entry is rank · 2³² + place, exact in a double
const CUT_FROM = 64; // shorter pieces are remembered whole

/** @throws CheckpointError E_TEXT_TOKENIZER */
export function createBpe(part: Part): TokenModel {
  if (part.has('dropout') && part.raw('dropout') !== 0)
    throw part.unsupported('dropout', 'null or 0, the same tokens for the same text');
  const { words, spelling } = readVocabulary(part);
  const [prefix, suffix] = [part.text('continuing_subword_prefix', ''), part.text('end_of_word_suffix', '')];
  const unknownWord = part.has('unk_token') ? part.text('unk_token') : undefined;
  const merges = readMerges(part);
  const { ranks, made } = rankMerges(part, merges, words, prefix);
  const rules: Rules = {
    words,
    ranks,
    made,
    prefix,
    suffix,
    bytes: part.flag('byte_fallback', false) ? byteTokens(words) : undefined,
    unknown:
      unknownWord === undefined ? undefined : { id: words.get(unknownWord), fuses: part.flag('fuse_unk', false) },
  };
  const takesWholeWords = part.flag('ignore_merges', false);
  const merge = createMerger(rules, () => part.wrong('unk_token', 'a word of the vocabulary'));
  const remembered = remember(merge);
  const isCut = prefix === '' && suffix === ''; // else a character’s word depends on whether its piece begins or ends there
  let cuts: ReturnType<typeof createCuts> | undefined;
  return {
    words,
    spelling,
    encode(piece, ids) {
      const whole = takesWholeWords ? words.get(piece) : undefined;
      if (whole !== undefined) return ids.push(whole);
      let pieces: readonly string[] = [piece];
      if (isCut && piece.length > CUT_FROM) {
        cuts ??= createCuts(words, merges);
        pieces = cuts(piece);
      }
      for (const one of pieces) for (const id of remembered(one)) ids.push(id);
    },
  };
}

type Merge = readonly [left: string, right: string];

function readMerges(part: Part): readonly Merge[] {
  const merges = part.raw('merges');
  if (!Array.isArray(merges)) throw part.wrong('merges', 'a list');
  if (merges.length > MOST_MERGES) throw part.unsupported('merges', `at most ${MOST_MERGES} merges`, merges.length);
  return merges
    .filter((one) => typeof one !== 'string' || !one.startsWith('#version'))
    .map((one: unknown, i) => {
      const pair = typeof one === 'string' ? one.split(' ') : one;
      if (Array.isArray(pair) && pair.length === 2 && pair.every((side) => typeof side === 'string')) {
        return pair as unknown as Merge;
      }
      throw part.wrong(`merges[${i}]`, 'two words', one);
    });
}

function rankMerges(part: Part, merges: readonly Merge[], words: ReadonlyMap<string, number>, prefix: string) {
  const ranks = createPairTable(merges.length);
  const made = new Int32Array(merges.length);
  merges.forEach(([left, right], rank) => {
    const [a, b, whole] = [left, right, left + right.slice(prefix.length)].map((word) => words.get(word));
    if (a === undefined || b === undefined || whole === undefined) {
      throw part.wrong(`merges[${rank}]`, 'two words of the vocabulary that make a third', `${left} ${right}`);
    }
    ranks.set(a, b, rank);
    made[rank] = whole;
  });
  return { ranks, made };
}

/** Cuts a text where no merge can join what is left and right. */
function createCuts(words: ReadonlyMap<string, number>, merges: readonly Merge[]) {
  const joined = createPairTable(merges.length);
  for (const [left, right] of merges)
    if (left !== '' && right !== '') joined.set(lastOf(left), right.codePointAt(0)!, 1);
  const known = new Map<number, boolean>();
  const isWord = (code: number): boolean => {
    let found = known.get(code);
    if (found === undefined) {
      found = words.has(String.fromCodePoint(code));
      known.set(code, found);
    }
    return found;
  };
  return (text: string): readonly string[] => {
    const pieces: string[] = [];
    let start = 0;
    let before = -1;
    for (let i = 0; i < text.length; ) {
      const code = text.codePointAt(i)!;
      if (i > start && isWord(before) && isWord(code) && joined.get(before, code) < 0) {
        pieces.push(text.slice(start, i));
        start = i;
      }
      before = code;
      i += code > 0xffff ? 2 : 1;
    }
    pieces.push(text.slice(start));
    return pieces;
  };
}

function lastOf(word: string): number {
  const low = word.charCodeAt(word.length - 1);
  return low >= 0xdc00 && low < 0xe000 && word.length > 1 ? word.codePointAt(word.length - 2)! : low;
}

/** One piece to ids: its characters as words, bytes or the unknown, then merged. */
function createMerger(rules: Rules, noUnknown: () => Error): (piece: string) => Int32Array {
  const encoder = new TextEncoder();
  const { words, prefix, suffix, bytes, unknown } = rules;
  return (piece) => {
    const symbols: number[] = [];
    let pending: number | undefined; // the unknown token that may still grow; bytes do not end it, as in the Rust library
    const flush = (): void => {
      if (pending !== undefined) symbols.push(pending);
      pending = undefined;
    };
    let at = 0;
    for (const character of piece) {
      const isFirst = at === 0;
      at += character.length;
      const word = (isFirst ? '' : prefix) + character + (at === piece.length ? suffix : '');
      const id = words.get(word);
      if (id !== undefined) {
        flush();
        symbols.push(id);
        continue;
      }
      const spelt = bytes && [...encoder.encode(word)].map((byte) => bytes[byte]!);
      if (spelt?.every((byte) => byte >= 0)) {
        symbols.push(...spelt);
      } else if (unknown !== undefined) {
        if (unknown.id === undefined) throw noUnknown();
        if (!unknown.fuses) flush();
        pending = unknown.id;
      }
    }
    flush();
    return mergeAll(Int32Array.from(symbols), rules);
  };
}

/** Merges neighbours until none can be merged. `ids` is written over. */
function mergeAll(ids: Int32Array, { ranks, made }: Pick<Rules, 'ranks' | 'made'>): Int32Array {
  const n = ids.length;
  const next = Int32Array.from(ids, (_, i) => i + 1);
  const previous = Int32Array.from(ids, (_, i) => i - 1);
  const heap = createHeap();
  const offer = (left: number, right: number): void => {
    const rank = ranks.get(ids[left]!, ids[right]!);
    if (rank >= 0) heap.push(rank * 2 ** 32 + left);
  };
  for (let i = 0; i + 1 < n; i++) offer(i, i + 1);
  for (let top = heap.pop(); top !== undefined; top = heap.pop()) {
    const left = top % 2 ** 32;
    const whole = made[Math.floor(top / 2 ** 32)]!;
    const right = next[left]!;
    if (ids[left] === GONE || right >= n) continue;
    // An entry is stale if its neighbours now make something else; which merge makes it does not matter.
    const rank = ranks.get(ids[left]!, ids[right]!);
    if (rank < 0 || made[rank] !== whole) continue;
    ids[left] = whole;
    ids[right] = GONE;
    const after = next[right]!;
    next[left] = after;
    if (after < n) previous[after] = left;
    if (previous[left]! >= 0) offer(previous[left]!, left);
    if (after < n) offer(left, after);
  }
  return ids.filter((id) => id !== GONE);
}

const GONE = -1;

/** The smallest first. */
function createHeap() {
  const heap: number[] = [];
  return {
    push(value: number): void {
      let at = heap.length;
      heap.push(value);
      while (at > 0) {
        const parent = (at - 1) >> 1;
        if (heap[parent]! <= value) break;
        heap[at] = heap[parent]!;
        at = parent;
      }
      heap[at] = value;
    },
    pop(): number | undefined {
      const top = heap[0];
      const value = heap.pop();
      if (value === undefined || heap.length === 0) return top;
      let at = 0;
      for (let child = 1; child < heap.length; child = 2 * at + 1) {
        if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
        if (heap[child]! >= value) break;
        heap[at] = heap[child]!;
        at = child;
      }
      heap[at] = value;
      return top;
    },
  };
}
