export type { Decoder, DecoderInfo, StepPart } from './decoder.js';
export { type DecoderOptions, openDecoder } from './open.js';
