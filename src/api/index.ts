export { type ActivationsResult, quantiseActivations } from './activations.js';
export {
  ACTIVATION_DEFAULTS,
  type ActivationsOptions,
  CLIP_RANGES,
  DEPENDENCIES,
} from './activations-settings.js';
export { bench, describeBenched, describeContender } from './bench.js';
export { type CompareOptions, type CompareResult, compare } from './compare.js';
export { type CompressForecast, type CompressResult, compress } from './compress.js';
export { type CutResult, cut } from './cut.js';
export { type DropResult, drop } from './drop.js';
export type { DropOptions } from './drop-settings.js';
export { type EvaluateOptions, type EvaluateResult, evaluate } from './evaluate.js';
export { type ExpertsResult, experts } from './experts.js';
export type { ExpertsOptions } from './experts-settings.js';
export { EXPORT_FORMATS, type ExportOptions, type ExportResult, exportModel } from './export.js';
export { type ExportPlanOptions, exportPlan } from './export-plan.js';
export { type FrontierOptions, type FrontierResult, frontier } from './frontier.js';
export { CONTENDERS } from './frontier-contenders.js';
export { type GenerateOptions, type GenerateResult, generate } from './generate.js';
export { type GrowOptions, type GrowResult, grow } from './grow.js';
export { type HealResult, heal } from './heal.js';
export { HEAL_DEFAULTS, type HealOptions, LOSSES, TRAINED } from './heal-settings.js';
export { type CheckpointReport, inspect } from './inspect.js';
export { inspectPacked, type PackedLinearReport, type PackedReport, type PartReport } from './inspect-packed.js';
export { type Contender, measureSpeeds, type Speeds } from './measure-speed.js';
export type { OpeningOptions } from './open-packed.js';
export { type PackOptions, type PackResult, pack } from './pack.js';
export { type MakePlanOptions, makePlan, readPlan } from './plan.js';
export { type ProfileOptions, type ProfileResult, profile } from './profile.js';
export { type PruneResult, prune } from './prune.js';
export { type PushOptions, push } from './push.js';
export { type QuantiseResult, quantise } from './quantise.js';
export { writeReport } from './report.js';
export { type ServeOptions, type ServeResult, serve } from './serve.js';
export { type UnlearnResult, unlearn } from './unlearn.js';
export { normaliseUnlearn, UNLEARN_DEFAULTS, UNLEARN_METHODS, type UnlearnOptions } from './unlearn-settings.js';
export { prepareUnlearnTexts } from './unlearn-texts.js';
export { type Chosen, chooseSteering } from './unlearn-trials.js';
export { type WorkerOptions, type WorkerResult, work } from './worker.js';
