export { type ChatMessage, type ChatTemplate, createChatTemplate, requireChatTemplate } from './chat.js';
export {
  type Completion,
  type CompletionPiece,
  type CompletionRequest,
  complete,
  type PlacedToken,
} from './completion.js';
export { createDetokeniser, createTextStream, type Detokeniser, type TextStream } from './detokenise.js';
export { folderTexts, loadLanguage } from './folder.js';
export { type Generated, type GenerateRequest, generateText } from './generate.js';
export type { Language, TextName, TextSource } from './language.js';
export { scoreRequests } from './likelihoods.js';
export { type OpenedForText, type OpenOptions, openForText } from './open.js';
export { encodePrompt, type OpenedDecoder, startSomewhere } from './opened.js';
export { scoreWindows } from './perplexity.js';
export type { Finish, SequenceRequest } from './request.js';
export { argmax, createSampler, type Sampler, type Sampling } from './sampler.js';
export { createScheduler, type Scheduler, type SchedulerOptions, type SchedulerState } from './scheduler.js';
export { type ScoredToken, scoreToken, type TokenScore } from './scores.js';
export { createStopFilter, type StopFilter } from './stops.js';
