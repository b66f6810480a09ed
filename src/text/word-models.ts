// WordPiece (the longest word first, from the left) and WordLevel (the piece is a word).

import type { Part } from './part.js';
import type { TokenModel } from './token-model.js';
import { readVocabulary } from './vocabulary.js';

/** @throws CheckpointError E_TEXT_TOKENIZER */
export function createWordPiece(part: Part): TokenModel {
  const { words, spelling } = readVocabulary(part);
  const prefix = part.text('continuing_subword_prefix', '##');
  const longest = part.count('max_input_chars_per_word', 100);
  const unknown = readUnknown(part, words, '[UNK]');
  const spell = (piece: string): readonly number[] | undefined => {
    const characters = [...piece];
    if (characters.length > longest) return undefined;
    const found: number[] = [];
    for (let start = 0; start < characters.length; ) {
      let end = characters.length;
      let id: number | undefined;
      for (; end > start; end--) {
        id = words.get((start > 0 ? prefix : '') + characters.slice(start, end).join(''));
        if (id !== undefined) break;
      }
      if (id === undefined) return undefined;
      found.push(id);
      start = end;
    }
    return found;
  };
  return {
    words,
    spelling,
    encode(piece, ids) {
      for (const id of spell(piece) ?? [unknown()]) ids.push(id);
    },
  };
}

/** @throws CheckpointError E_TEXT_TOKENIZER */
export function createWordLevel(part: Part): TokenModel {
  const { words, spelling } = readVocabulary(part);
  const unknown = readUnknown(part, words, '<unk>');
  return { words, spelling, encode: (piece, ids) => ids.push(words.get(piece) ?? unknown()) };
}

function readUnknown(part: Part, words: ReadonlyMap<string, number>, fallback: string): () => number {
  const word = part.text('unk_token', fallback);
  return () => {
    const id = words.get(word);
    if (id === undefined) throw part.wrong('unk_token', 'a word of the vocabulary', word);
    return id;
  };
}
