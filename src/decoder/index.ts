export type { Decoder, DecoderInfo, StepPart } from './decoder.js';
export { type DecoderOptions, type OpenDecoder, openDecoder } from './open.js';
export { type DescribedModel, readPackedModel } from './read-model.js';
