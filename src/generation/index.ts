export { type ChatOptions, createChatTemplate, requireChatTemplate } from './chat.js';
export { type Completion, type CompletionPiece, complete, type PlacedToken } from './completion.js';
export { createDetokeniser, createTextStream } from './detokenise.js';
export { createDialogueWriter, type DialogueWriter, dialogueTexts, type Question } from './dialogue.js';
export { folderTexts, loadLanguage } from './folder.js';
export { type Generated, generateText } from './generate.js';
export { writeGreedily } from './greedy.js';
export {
  continueCheckpoint,
  describeParting,
  type GreedyTexts,
  type Parting,
  partingOf,
  writeDenseTexts,
} from './greedy-texts.js';
export { readJson as readChatJson } from './jinja/json.js';
export type { Language, ModelFileName, ModelFiles } from './language.js';
export { scoreRequests } from './likelihoods.js';
export { openForText } from './open.js';
export { encodePrompt, type OpenedDecoder, startSomewhere } from './opened.js';
export { readWindows, scoreWindows, type VisitLogits } from './perplexity.js';
export type { Finish, SequenceRequest } from './request.js';
export { argmax, createSampler, type Sampling } from './sampler.js';
export { createScheduler, type Scheduler } from './scheduler.js';
export { type ScoredToken, scoreToken, type TokenScore } from './scores.js';
export { createStopFilter } from './stops.js';
