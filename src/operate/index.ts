export type { Criterion, LinearStatistics } from './criterion.js';
export { type Mask, type Matrix, PATTERNS, type Pattern, selectMask } from './mask.js';
export { CRITERIA, findCriterion } from './registry.js';
export { selectRank } from './select.js';
