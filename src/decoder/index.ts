export type { Decoder, DecoderInfo, StepPart } from './decoder.js';
export { isRunnable, requireRunnable } from './kit.js';
export { type DecoderOptions, type OpenDecoder, openDecoder } from './open.js';
