export { type BytesOptions, openBytes, openBytesForText } from './bytes.js';
export type { ChatMessage, ChatTemplate } from './chat.js';
export { type Generated, type GenerateRequest, generateText } from './generate.js';
export type { Language } from './language.js';
export { encodePrompt, type OpenedDecoder } from './opened.js';
export type { Finish } from './request.js';
export { createSampler, type Sampler, type Sampling } from './sampler.js';
