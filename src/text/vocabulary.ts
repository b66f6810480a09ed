// Words and their ids, and a cache of pieces that models have seen.

import type { Part } from './part.js';

/** `part.vocab` as an object of ids. @throws CheckpointError E_TEXT_TOKENIZER */
export function readVocabulary(part: Part): { words: Map<string, number>; spelling: Map<number, string> } {
  const vocab = part.raw('vocab');
  if (typeof vocab !== 'object' || vocab === null || Array.isArray(vocab))
    throw part.wrong('vocab', 'an object of token ids');
  const words = new Map<string, number>();
  const spelling = new Map<number, string>();
  for (const [word, id] of Object.entries(vocab)) {
    if (!isId(id)) throw part.wrong(`vocab[${JSON.stringify(word)}]`, 'a token id', id);
    words.set(word, id);
    spelling.set(id, word);
  }
  return { words, spelling };
}

export const isId = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31;

/** The ids of the byte tokens <0x00> … <0xFF>; -1 for one that is not there. */
export const byteTokens = (words: ReadonlyMap<string, number>): Int32Array =>
  Int32Array.from({ length: 256 }, (_, byte) => {
    const hex = byte.toString(16).toUpperCase().padStart(2, '0');
    return words.get(`<0x${hex}>`) ?? -1;
  });

const MOST = 1 << 17;
const LONGEST = 64;

/** Remembers the tokens of short pieces, because words repeat. */
export function remember(encode: (piece: string) => Int32Array): (piece: string) => Int32Array {
  const known = new Map<string, Int32Array>();
  return (piece) => {
    if (piece.length > LONGEST) return encode(piece);
    let ids = known.get(piece);
    if (ids === undefined) {
      ids = encode(piece);
      if (known.size >= MOST) known.clear();
      known.set(piece, ids);
    }
    return ids;
  };
}
