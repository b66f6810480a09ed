export {
  type AsymmetricGrid,
  asymmetricGrid,
  CLIP_BITS,
  clippedRange,
  fullRange,
  levelsOf,
  quantiseRows,
  roundAsymmetric,
} from './clips/asymmetric.js';
export { type Entropies, entropiesOf, entropyOf, softAssign } from './clips/dependency.js';
export { fixedLayers, type LayerSpan, partitionLayers } from './clips/partition.js';
export { type ClipChoice, type ClipLoss, clipGrid, greedyClips, jointClips } from './clips/search.js';
export { createElimination, eliminateGreedily, eliminationOf, keepSlices } from './cut/elimination.js';
export { IMPORTANCES, type Importance, scaleRows, scoreFlapColumns, sumOverSlices } from './cut/importance.js';
export { costsNeed, cutOperator, measureCosts, REPAIRS, type Reader, type Repair } from './cut/operator.js';
export {
  type Evidence,
  type EvidenceName,
  type Mask,
  type Matrix,
  type MatrixGrid,
  type Operator,
  type Prepared,
  standInOf,
} from './operator.js';
export { fitPredictor, type HeldOut, type Stack } from './predict.js';
export { roundingTo } from './quantise/gptq.js';
export { GRID_BITS, GRID_GROUPS, gridShape, groupOf } from './quantise/grid.js';
export { findQuantiser, QUANTISERS } from './quantise/registry.js';
export { findOperator } from './registry.js';
export { type MaskOperator, maskOperator, type SolverOperator, solverOperator } from './sparsify/criterion.js';
export { refineMask } from './sparsify/dsnot.js';
export { factoriseGram, retarget } from './sparsify/gram-factor.js';
export { selectMask } from './sparsify/mask.js';
export { formatPattern, PATTERNS, type Pattern, type PatternKind, parsePattern } from './sparsify/pattern.js';
export { refit } from './sparsify/refit.js';
export { CRITERIA, findCriterion, refitCriterion } from './sparsify/registry.js';
export { scoreRia } from './sparsify/ria.js';
export { selectRank } from './sparsify/select.js';
export { pruneSparseGpt, type SparseGptPattern } from './sparsify/sparsegpt.js';
export { scoreWanda } from './sparsify/wanda.js';
