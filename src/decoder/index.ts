export { openDecoderAlone } from './alone.js';
export { DECODER_DEVICES, type DecoderDevice } from './backend.js';
export type { OpenDecoder } from './build.js';
export type { Choice, Decoder, DecoderInfo, GreedyWriter, StepPart } from './decoder.js';
export { type DecoderOptions, openDecoder } from './open.js';
export { type DescribedModel, readPackedModel } from './read-model.js';
