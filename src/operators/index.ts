export {
  type Environment,
  type Evidence,
  type EvidenceName,
  type Mask,
  type Matrix,
  type MatrixEdit,
  type Operator,
  type Prepared,
  standInOf,
} from './operator.js';
export {
  type LinearStatistics,
  type MaskCriterion,
  type MaskOperator,
  maskOperator,
  type SolverCriterion,
  type SolverOperator,
  solverOperator,
} from './sparsify/criterion.js';
export { refineMask } from './sparsify/dsnot.js';
export { factoriseGram } from './sparsify/gram-factor.js';
export { selectMask } from './sparsify/mask.js';
export { formatPattern, PATTERNS, type Pattern, type PatternKind, parsePattern } from './sparsify/pattern.js';
export { CRITERIA, findCriterion } from './sparsify/registry.js';
export { scoreRia } from './sparsify/ria.js';
export { selectRank } from './sparsify/select.js';
export { pruneSparseGpt, type SparseGptPattern } from './sparsify/sparsegpt.js';
export { scoreWanda } from './sparsify/wanda.js';
