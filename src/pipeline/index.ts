export { measureMisalignment } from './alignment.js';
export {
  type BlockNotes,
  type BlockPruning,
  blockFileSource,
  blockPath,
  countBlockZeros,
  isWholeBlock,
  openBlockFile,
  pruneLinear,
  readNotes,
  writePrunedBlock,
} from './block-file.js';
export { type DensePass, runDense, tapBlock } from './dense.js';
export { forestSteps, forestsOf, scoreSequences } from './forests.js';
export { measureSensitivity } from './sensitivity.js';
export { prepareBlock, pruneSequentially, runBlocks, scoreBlockFiles } from './sequential.js';
export { scoreSurrogate } from './surrogate.js';
export { sweepVariants } from './variants.js';
