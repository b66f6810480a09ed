export { measureMisalignment } from './alignment.js';
export {
  type BlockNotes,
  type BlockScales,
  blockFileSource,
  blockPath,
  countBlockZeros,
  isWholeBlock,
  openBlockFile,
  readBlockFile,
  readBlockScales,
  readNotes,
  type TreatedBlock,
  writeBlockFile,
} from './block-file.js';
export { fileShelf, memoryShelf } from './block-shelf.js';
export { measureDependencies, measureRanges } from './clip-dependencies.js';
export { type ClipLayer, type ClipRanges, clipPieces, withClips } from './clip-layers.js';
export { type ClipSearch, type StretchResult, searchClips } from './clip-search.js';
export { type DensePass, runDense, tapBlock } from './dense.js';
export { isDropped } from './dropped-block.js';
export { type ErrorCurves, measureErrorCurves } from './error-curves.js';
export { errorsAlone } from './errors.js';
export { forestSteps, forestsOf, scoreSequences } from './forests.js';
export { type Growing, growTensors, type Predictions, predictLinears, requireGrowable } from './growth.js';
export { scoreKept } from './kept.js';
export { fillLevels, type LevelStore, type Levels, levelBytes, levelsIn, openLevels } from './level-store.js';
export { requireMergeable } from './merge.js';
export { type Aligned, alignExperts, mergedTensors, requireAlignable } from './merge-experts.js';
export { changedTensors, type RepairWay, repairSeams, requireRepairable, stepsOf } from './seams.js';
export { measureSensitivity } from './sensitivity.js';
export { measureTable, type UnitDamages } from './sensitivity-table.js';
export { pruneSequentially, type RemoteCalibration, runBlockFiles, runBlocks, scoreBlockFiles } from './sequential.js';
export { measureFlapScores, measureSliceCosts, measureTaylorScores } from './slices.js';
export { createPairRun, type PairRun, type StreamTarget, sharesOf } from './stream-target.js';
export { scoreSurrogate } from './surrogate.js';
export { type BlockEvidence, measureEvidence, treatBlock } from './treat.js';
export { withTreatedBlock } from './treated-block.js';
export { sweepVariants } from './variants.js';
