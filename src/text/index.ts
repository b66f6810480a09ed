export type { Codec } from './codec.js';
export { type Corpus, type CorpusSelection, decodeUtf8, readCorpus, refuseLfsPointer } from './corpus.js';
export { readParquetRows } from './parquet.js';
export { PERTURBATIONS, type Perturbation } from './perturb.js';
export { createTokenizer, type HashedCodec, loadTokenizer, type Tokenizer } from './tokenizer.js';
export { tokenizeCorpus } from './tokens.js';
export { describeUnfit } from './unfit.js';
export { startTokenOf, WINDOW_STARTS, type WindowStart } from './window-start.js';
export { checkVocabulary, makeWindows, type Windows } from './windows.js';
