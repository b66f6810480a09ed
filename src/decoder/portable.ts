export { type AloneOptions, openDecoderAlone } from './alone.js';
export type { DecoderDevice } from './backend.js';
export type { OpenDecoder } from './build.js';
export type { Choice, Decoder, DecoderInfo, GreedyWriter, StepPart } from './decoder.js';
