export { type WrittenAnswer, writeAnswers } from './answers.js';
export {
  type Backward,
  type BackwardOptions,
  createBackward,
  type PartAt,
  type PassOptions,
  type Place,
} from './backpropagate.js';
export { type Choices, scoreChoices } from './choices.js';
export {
  embedContent,
  logitsPerImage,
  meanOfGroups,
  parseTemplates,
  readLogitScale,
  TEMPLATES,
  textWindows,
  type Vectors,
  vectorsOf,
  withClasses,
} from './embeddings.js';
export { evaluateStream } from './evaluate-stream.js';
export {
  compareModels,
  compareRows,
  compareStreams,
  emptyFidelity,
  openLogits,
  setToken,
  summariseFidelity,
  type TokenFidelity,
} from './fidelity.js';
export type { Gradients } from './gradient-sums.js';
export type { Objective } from './head-gradients.js';
export { summarise } from './perplexity.js';
export { readOut } from './read-out.js';
export { type Places, placePairs } from './retrieval.js';
export { LOGITS_PER_RUN, nextTokens, scoreDivergences, scoreSamples, slabOf } from './score.js';
export type { Weights } from './sessions.js';
export { captionsOf, classifyImages, classifyTexts } from './zero-shot.js';
