export { type CompareOptions, type CompareResult, compare } from './compare.js';
export { type DropOptions, type DropResult, drop } from './drop.js';
export { type EvaluateOptions, type EvaluateResult, evaluate } from './evaluate.js';
export { type CheckpointReport, inspect, type LinearReport } from './inspect.js';
export { makePlan, readPlan } from './plan.js';
export { type PruneResult, prune } from './prune.js';
export { writeReport } from './report.js';
export type { PlanOptions, PruneOptions, RunOptions } from './settings.js';
export type { TimedTrial } from './trials.js';
