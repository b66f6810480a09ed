export {
  type Criterion,
  type LinearStatistics,
  type MaskCriterion,
  maskOf,
  type PreparedSolver,
  type SolverCriterion,
} from './criterion.js';
export { refineMask } from './dsnot.js';
export { DAMPING, factoriseGram, type GramFactor, type GramFactorOptions } from './gram-factor.js';
export { type Mask, type Matrix, selectMask } from './mask.js';
export {
  formatPattern,
  PATTERN_NAMES,
  type Pattern,
  type PatternKind,
  parsePattern,
} from './pattern.js';
export { CRITERIA, findCriterion } from './registry.js';
export { scoreRia } from './ria.js';
export { selectRank } from './select.js';
export {
  pruneSparseGpt,
  type SparseGptOptions,
  type SparseGptPattern,
  type SparseGptResult,
} from './sparsegpt.js';
export { scoreWanda } from './wanda.js';
