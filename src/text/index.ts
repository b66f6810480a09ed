export type { Codec } from './codec.js';
export { type Corpus, type CorpusSelection, decodeUtf8, readCorpus } from './corpus.js';
export { createTokenizer, type HashedCodec, loadTokenizer, type Tokenizer } from './tokenizer.js';
export { tokenizeCorpus } from './tokens.js';
export { checkVocabulary, makeWindows, type Windows } from './windows.js';
