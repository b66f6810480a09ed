export { type AloneOptions, openDecoderAlone } from './alone.js';
export type { OpenDecoder, SequenceOptions } from './build.js';
export type { Decoder, DecoderInfo, StepPart } from './decoder.js';
