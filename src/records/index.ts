export { accuracyGain, accuracyWithin, lossesByClass, type Share } from './accuracy.js';
export { type ActivationsRecord, parseActivationsRecord, saysActivations } from './activations.js';
export { readCalibration } from './calibration.js';
export { type Comparison, type ComparisonRow, comparisonSchema } from './comparison.js';
export { type CutRecord, parseCutRecord } from './cut.js';
export { type DropRecord, parseDropRecord } from './drop.js';
export type { Evaluation, LossName, Trial } from './evaluation.js';
export { type ExpertsRecord, parseExpertsRecord } from './experts.js';
export { type Fidelity, type FidelityNumbers, type GreedyDivergence, readFidelity } from './fidelity.js';
export { findFront } from './front.js';
export {
  CONTENDER_KINDS,
  type ContenderKind,
  type Frontier,
  type FrontierContender,
  type FrontierForm,
  parseFrontier,
  readContender,
  standForms,
} from './frontier.js';
export { type Gain, type Gains, gainOf, havePartedGains } from './gains.js';
export { type GrowRecord, parseGrowRecord } from './grow.js';
export { type HealRecord, parseHealRecord } from './heal.js';
export { pairedInterval, verdictOf } from './interval.js';
export {
  type LeafRequest,
  type LeafResult,
  type Letter,
  type Outcome,
  parseOutcome,
  parseSharedRun,
  type SharedRun,
  validateLetter,
} from './letter.js';
export { type Manifest, type ManifestText, parseManifest, type ResultRow } from './manifest.js';
export { blockId, type Plan, parsePlan, type Treatment, validatePlan } from './plan.js';
export {
  HISTOGRAM_BINS,
  HISTOGRAM_SHIFT,
  type Histogram,
  type Measured,
  type MeasureName,
  PROFILE_CHARACTERS,
  type Profile,
  packMeasures,
  parseProfile,
  unpackMeasures,
  validateProfile,
} from './profile.js';
export { type PushedRecord, parsePushedRecord } from './pushed.js';
export {
  parseSensitivityTable,
  type SensitivityItem,
  type SensitivityTable,
  validateSensitivityTable,
} from './sensitivity-table.js';
export type { Estimate, TaskScores, TaskSetup } from './tasks.js';
export { knownParts, parseUnlearnRecord, type UnlearnRecord, type UnlearnTrial } from './unlearn.js';
export { parseWorkersRecord, type WorkersRecord } from './workers.js';
