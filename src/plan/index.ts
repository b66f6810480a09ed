export { allocate, blockRates, completeValues, meanRate, validateValues } from './allocate.js';
export { atpLine, maxBeta } from './atp.js';
export {
  allocateBits,
  atpBits,
  BIT_MENU,
  type BitsInput,
  type BitsRule,
  continuousBits,
  wholeBits,
  widthGroups,
} from './bits.js';
export { countPruned, fitBudget, validateTarget } from './budget.js';
export { DROP_METHODS, type DropMethod, dropDeepest, dropLeast, dropRun, findDropMethod } from './drop.js';
export {
  countByRates,
  countByThreshold,
  countEqually,
  countFreely,
  EXPERT_ALLOCATIONS,
  EXPERT_METHODS,
  type ExpertAllocation,
  type ExpertMethod,
  type ExpertSums,
  expertFacts,
  findExpertMethod,
  keepLargest,
  type Merge,
  type MixtureBlock,
  mergeExperts,
  scoreExperts,
  spareTarget,
} from './experts.js';
export { EXPORTERS, findExporter } from './export/registry.js';
export type { Exporter, ExportLinear, ExportModel, PlanExport } from './export/target.js';
export { flapPlan } from './flap.js';
export { countInGroups } from './groups.js';
export {
  findGrowMethod,
  GROW_METHODS,
  type GrowMethod,
  type GrownBlock,
  growBlocks,
  newBlocks,
  parseWhere,
} from './growth.js';
export { joinFacts, partPlan } from './joint.js';
export { type Choices, type CostedItem, chooseItems } from './lagrange.js';
export {
  allocateMixed,
  type Bending,
  bendDamages,
  costRange,
  type MixedPlan,
  mostZeros,
  type ZerosAtLeast,
} from './mixed.js';
export {
  type AllocationPolicy,
  blockWeights,
  COUNTINGS,
  type Counting,
  type ModelFacts,
  type Values,
  type Whole,
} from './policy.js';
export { allocateProgression, checkBitsBeta, distinctBetas, maxBitsBeta, progressionBits } from './progression.js';
export { realisePlan } from './realise.js';
export { findPolicy, POLICIES } from './registry.js';
export { type Seam, seamsOf } from './seams.js';
export { firstPoint, hasSearch, openHyperparameters, type SearchSpace, searchSpace } from './space.js';
export { countOf, type LinearUnit, TRUNK, treatmentOf, type Unit, zeroRate } from './unit.js';
export {
  chooseWidths,
  type Half,
  halfFacts,
  mostRemoved,
  realiseWidths,
  smallestSteps,
  type WidthOptions,
} from './widths.js';
