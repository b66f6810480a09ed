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
export { type DensePass, runDense, type Text, type Trace, tapBlock } from './dense.js';
export { forestSteps, forestsOf, scoreSequences } from './forests.js';
export { GRADIENT_DRAWS, measureGradients } from './gradient.js';
export type { VisitResidual } from './pass.js';
export { scoreRemovals } from './removals.js';
export { visitResiduals } from './residuals.js';
export { measureSensitivity } from './sensitivity.js';
export {
  type MaskInput,
  prepareBlock,
  pruneSequentially,
  runBlocks,
  type SequentialInput,
  type SequentialResult,
  scoreBlockFiles,
} from './sequential.js';
export { scoreSurrogate } from './surrogate.js';
export { type SweepResult, sweepVariants, type Variant } from './variants.js';
