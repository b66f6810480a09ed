export { type Candidate, createRequests } from './candidate.js';
export { readPairs } from './captions.js';
export { carryScales, openGrids } from './carry-scales.js';
export {
  conflict,
  oneOf,
  optionCode,
  parseRange,
  realNumber,
  refuseMissing,
  refuseValue,
  wholeNumber,
} from './checks.js';
export { type Choice, type ChoosingContext, choosePlan, chooseShares } from './choose.js';
export { checkProgression, chooseBits } from './choose-bits.js';
export { chooseWidths } from './choose-widths.js';
export { quote, startCommand } from './command-line.js';
export { trialEquivalents } from './cost.js';
export { countBits } from './count-bits.js';
export { countZeros, type LinearReport } from './count-zeros.js';
export {
  CUT_ALLOCATIONS,
  CUT_DEFAULTS,
  CUT_WIDTHS,
  type Cut,
  type CutOptions,
  type CutSettings,
  normaliseCut,
  planCut,
} from './cut-settings.js';
export { DEFAULTS, GRADIENTS, HESSIANS, JUDGES, PREFIXES } from './defaults.js';
export { describeCandidate } from './describe.js';
export { openEngine } from './engine.js';
export type { LocalExecutor } from './executor.js';
export { factsOf } from './facts.js';
export {
  fidelityOf,
  openReference,
  type ScoringContext,
  scoreAgainst,
  scoreFinal,
  scoreText,
  UNSCORED,
} from './final-scores.js';
export { gainsOf } from './gains.js';
export { type GradientOptions, type GradientSettings, normaliseGradient } from './gradient-options.js';
export { openTrials } from './hand-out.js';
export { openRun } from './identity.js';
export {
  checkImages,
  type ImageOptions,
  type ImageSettings,
  normaliseImages,
  requireMainTrunk,
  TOWER_BUDGETS,
  type TowerSparsity,
  withSampleCount,
} from './image-options.js';
export { howMade, imagesOf, prepareImageSet, preprocessingOf } from './images.js';
export { spaceForLevels } from './levels.js';
export { buildManifest, commandOf } from './manifest.js';
export { measureNumerics } from './numerics.js';
export type { Tally } from './post.js';
export { measureAt, measureOnce } from './procedure-measures.js';
export { BITS_ALLOCATIONS, normaliseQuantise, type QuantiseOptions, withUniformBits } from './quantise-settings.js';
export {
  openQuestions,
  padQuestions,
  preparePrompts,
  prepareQuestions,
  type Questioning,
  type ReadQuestions,
  readQuestions,
  writeQuestion,
} from './questions.js';
export { normaliseQueue, type QueueOptions, type QueueSettings, requireQueue } from './queue-options.js';
export { type ChoosePlan, type Measuring, type Run, runToChoice } from './run.js';
export { checkProfile, measuresOf, PROFILE_MEASURES, readProfile } from './saved-profile.js';
export {
  checkAgainstModel,
  fixOpen,
  givenValues,
  normaliseGreedy,
  normaliseLength,
  normalisePrune,
  normaliseRun,
  normaliseStart,
  normaliseWindowing,
  type PackingOptions,
  type PlanOptions,
  type PruneOptions,
  type PruneSettings,
  patternOf,
  pushTarget,
  type RunOptions,
  type RunSettings,
  type WindowingOptions,
  windowLength,
} from './settings.js';
export { describeModel, nameSource, openSource, resolveSource } from './source.js';
export { DEFAULT_SHARES, normaliseTarget, parseTargetShares, type Shares } from './stream-shares.js';
export { addTasks, normaliseTasks, SPECIAL_TOKENS, type TaskOptions, type TaskSettings } from './task-options.js';
export {
  outcomesOf,
  type PreparedTasks,
  prepareTasks,
  readRequests,
  resultOf,
  scoreTasks,
  type TaskRequests,
  type TasksResult,
} from './tasks.js';
export {
  type Prepared,
  type PreparedText,
  type PreparedTexts,
  prepareSamples,
  prepareText,
  prepareTexts,
  recordsOf,
  type TextSettings,
} from './texts.js';
export { createLedger, type Entry, lossOf, noteTrial, type TimedTrial } from './trial-ledger.js';
export { UNITS } from './unit.js';
export { describeUnseen } from './unseen-experts.js';
export { createWorker } from './worker.js';
export { checkOut, checkOutPath, checkOutside, checkSpace, isOnlyToBeCleared, type Workspace } from './workspace.js';
export { nameClasses } from './zero-shot.js';
