export { allocate, blockRates, completeValues, type Rates, validateValues } from './allocate.js';
export { atpLine, maxBeta } from './atp.js';
export { countPruned, fitBudget, validateTarget } from './budget.js';
export { DROP_METHODS, type DropMethod, dropDeepest, dropLeast, dropRun, findDropMethod } from './drop.js';
export { countInGroups } from './groups.js';
export { type AllocationPolicy, BUDGETS, type Budget, type ModelFacts, type Values } from './policy.js';
export { findPolicy, POLICIES } from './registry.js';
export { firstPoint, openHyperparameters, type SearchSpace, searchSpace } from './space.js';
