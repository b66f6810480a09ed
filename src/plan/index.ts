export { type AllocateInput, allocate, blockRates, completeValues, type Rates } from './allocate.js';
export { atp, atpLine, maxBeta } from './atp.js';
export { type Countable, countPruned, fitBudget, validateTarget } from './budget.js';
export { DROP_METHODS, type DropMethod, dropDeepest, dropLeast, dropRun, findDropMethod } from './drop.js';
export { countInGroups } from './groups.js';
export {
  type AllocationPolicy,
  BUDGETS,
  type Budget,
  blockWeights,
  type Hyperparameter,
  type LinearFacts,
  type ModelFacts,
  type Values,
} from './policy.js';
export { findPolicy, POLICIES } from './registry.js';
