export { type Comparison, type ComparisonRow, comparisonRowSchema, comparisonSchema } from './comparison.js';
export { type DropRecord, dropRecordSchema, parseDropRecord } from './drop.js';
export { type Evaluation, evaluationSchema, type Trial, trialSchema } from './evaluation.js';
export { pairedInterval, verdictOf } from './interval.js';
export { type Manifest, type ManifestText, manifestSchema, parseManifest, type ResultRow } from './manifest.js';
export { parseRecord } from './parse.js';
export { type Plan, parsePlan, planSchema, validatePlan } from './plan.js';
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
  profileSchema,
  unpackMeasures,
  validateProfile,
} from './profile.js';
export {
  type Estimate,
  estimateSchema,
  type TaskScores,
  type TaskSetup,
  taskScoresSchema,
  taskSetupSchema,
} from './tasks.js';
