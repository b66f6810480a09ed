export { atp, maxBeta, validateBeta } from './atp.js';
export { type Countable, countPruned, fitBudget, validateTarget } from './budget.js';
export { type AllocationPolicy, BUDGETS, type Budget, type ModelFacts } from './policy.js';
export { findPolicy, POLICIES } from './registry.js';
