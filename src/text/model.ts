// The model of a tokenizer: pieces of a text become token ids.

import { createBpe } from './bpe.js';
import type { Part } from './part.js';
import type { TokenModel } from './token-model.js';
import { createUnigram } from './unigram.js';
import { createWordLevel, createWordPiece } from './word-models.js';

/** @throws CheckpointError E_TEXT_TOKENIZER where it is of a kind we do not implement */
export function createModel(part: Part): TokenModel {
  const type = part.type === '' ? guessType(part) : part.type;
  switch (type) {
    case 'BPE':
      return createBpe(part);
    case 'Unigram':
      return createUnigram(part);
    case 'WordPiece':
      return createWordPiece(part);
    case 'WordLevel':
      return createWordLevel(part);
    default:
      throw part.unsupported('type', 'one of BPE, Unigram, WordPiece, WordLevel');
  }
}

/** Old files have no type: the Rust library uses the first kind whose fields exist. */
function guessType(part: Part): string {
  if (part.has('merges')) return 'BPE';
  if (Array.isArray(part.raw('vocab'))) return 'Unigram';
  return part.has('max_input_chars_per_word') ? 'WordPiece' : 'WordLevel';
}
