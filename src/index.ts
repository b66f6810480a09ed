// The library door: the jobs, and what their options, results and errors are made of.

export {
  CheckpointError,
  InternalError,
  LayerwiseError,
  NumericError,
  type OnProgress,
  OptionError,
  type ProgressEvent,
  ResourceError,
  ShapeError,
  UnsupportedError,
  VERSION,
} from './base/index.js';
export {
  type CheckpointReport,
  type EvaluateOptions,
  type EvaluateResult,
  evaluate,
  inspect,
  type LinearReport,
  makePlan,
  type PlanOptions,
  type PruneOptions,
  type PruneResult,
  prune,
  type RunOptions,
  type TimedTrial,
  writeReport,
} from './jobs/index.js';
export { type Evaluation, type Manifest, type Plan, parseManifest, parsePlan, type Trial } from './records/index.js';
