export { type Corpus, readCorpus } from './corpus.js';
export { loadTokenizer, type Tokenizer } from './tokenizer.js';
export { tokenizeCorpus } from './tokens.js';
export { checkVocabulary, makeWindows, type WindowOptions, type Windows } from './windows.js';
