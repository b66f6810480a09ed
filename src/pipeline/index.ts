export { blockFileSource, blockPath, readBlockTensor } from './block-file.js';
export { type DensePass, runDense, type Text, type Trace, tapBlock } from './dense.js';
export { pruneSequentially, type SequentialInput, type SequentialResult, scoreBlockFiles } from './sequential.js';
export { scoreSurrogate } from './surrogate.js';
