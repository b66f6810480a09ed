// The Unigram model: of all ways to spell a piece in words, the one with the highest sum of scores (Viterbi), in time
// linear in the piece. A character without its own word is unknown; unknown neighbours become one token, or their bytes.

import { createPairTable } from './pair-table.js';
import type { Part } from './part.js';
import type { TokenModel } from './token-model.js';
import { byteTokens, remember } from './vocabulary.js';

const UNKNOWN_PENALTY = 10;
const UNKNOWN = -2; // not an id of the vocabulary: a file may have no unknown token

/** @throws CheckpointError E_TEXT_TOKENIZER */
export function createUnigram(part: Part): TokenModel {
  if (part.has('alpha') && part.raw('alpha') !== 0)
    throw part.unsupported('alpha', 'null or 0, the same tokens for the same text');
  const { words, spelling, scores } = readScores(part);
  const unknown = part.has('unk_id') ? part.count('unk_id') : undefined;
  if (unknown !== undefined && unknown >= scores.length) throw part.wrong('unk_id', `below ${scores.length}`);
  const bytes = part.flag('byte_fallback', false) ? byteTokens(words) : undefined;
  const best = createSearch(words, scores);
  const encoder = new TextEncoder();
  const spell = (text: string): readonly number[] => {
    const id = words.get(text);
    if (id !== undefined) return [id];
    const spelt = bytes && Array.from(encoder.encode(text), (byte) => bytes[byte]!);
    if (spelt?.every((byte) => byte >= 0)) return spelt;
    if (unknown === undefined)
      throw part.wrong('unk_id', 'a token for characters that the vocabulary lacks', undefined);
    return [unknown];
  };
  const encode = remember((piece) => {
    const ids: number[] = [];
    let [start, pending] = [0, 0];
    const flush = (): void => {
      if (start > pending) for (const id of spell(piece.slice(pending, start))) ids.push(id);
    };
    for (const [end, id] of best(piece)) {
      if (id !== UNKNOWN && id !== unknown) {
        flush();
        ids.push(id);
        pending = end;
      }
      start = end;
    }
    flush();
    return Int32Array.from(ids);
  });
  return {
    words,
    spelling,
    encode(piece, ids) {
      for (const id of encode(piece)) ids.push(id);
    },
  };
}

function readScores(part: Part) {
  const vocab = part.raw('vocab');
  if (!Array.isArray(vocab)) throw part.wrong('vocab', 'a list of [word, score]');
  const words = new Map<string, number>();
  const spelling = new Map<number, string>();
  const scores = new Float64Array(vocab.length);
  vocab.forEach((entry: unknown, id) => {
    const [word, score] = Array.isArray(entry) ? entry : [];
    if (typeof word !== 'string' || typeof score !== 'number') throw part.wrong(`vocab[${id}]`, '[word, score]', entry);
    words.set(word, id);
    spelling.set(id, word);
    scores[id] = score;
  });
  return { words, spelling, scores };
}

/** The best way to spell a piece: where each of its words ends, and its id. */
function createSearch(words: ReadonlyMap<string, number>, scores: Float64Array) {
  // A trie: (node, code unit) → node, the root being 0; and the word that ends at a node.
  const children = createPairTable(4 * words.size);
  const ends: number[] = [-1];
  for (const [word, id] of words) {
    let node = 0;
    for (let i = 0; i < word.length; i++) {
      const code = word.charCodeAt(i);
      let child = children.get(node, code);
      if (child < 0) {
        child = ends.push(-1) - 1;
        children.set(node, code, child);
      }
      node = child;
    }
    if (node !== 0) ends[node] = id;
  }
  const unknownScore =
    scores.reduce((least, score) => Math.min(least, score), Number.POSITIVE_INFINITY) - UNKNOWN_PENALTY;
  return (piece: string): readonly (readonly [end: number, id: number])[] => {
    const n = piece.length;
    const reached = new Float64Array(n + 1);
    const from = new Int32Array(n + 1).fill(-1);
    const by = new Int32Array(n + 1);
    const offer = (start: number, end: number, id: number, score: number): void => {
      const total = score + reached[start]!;
      if (from[end]! >= 0 && total <= reached[end]!) return;
      reached[end] = total;
      from[end] = start;
      by[end] = id;
    };
    for (let start = 0; start < n; ) {
      const width = piece.codePointAt(start)! > 0xffff ? 2 : 1;
      let hasWord = false;
      for (let at = start, node = 0; at < n; ) {
        node = children.get(node, piece.charCodeAt(at++));
        if (node < 0) break;
        const id = ends[node]!;
        if (id < 0) continue;
        offer(start, at, id, scores[id]!);
        hasWord ||= at - start === width;
      }
      if (!hasWord) offer(start, start + width, UNKNOWN, unknownScore);
      start += width;
    }
    const path: [number, number][] = [];
    for (let end = n; end > 0; end = from[end]!) path.push([end, by[end]!]);
    return path.reverse();
  };
}
