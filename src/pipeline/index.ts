export {
  type BlockPruning,
  blockFileSource,
  blockPath,
  pruneLinear,
  readBlockTensor,
  writePrunedBlock,
} from './block-file.js';
export { type DensePass, runDense, type Text, type Trace, tapBlock } from './dense.js';
export { measureSensitivity } from './sensitivity.js';
export {
  pruneSequentially,
  runBlocks,
  type SequentialInput,
  type SequentialResult,
  scoreBlockFiles,
} from './sequential.js';
export { scoreSurrogate } from './surrogate.js';
export { type SweepResult, sweepVariants, type Variant } from './variants.js';
