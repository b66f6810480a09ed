// The door of a page: a packed model (.lw) from its bytes, run by the thread that opens it or on the GPU. Nothing that is
// reached from here needs Node, which test/architecture.test.ts sees to.

export {
  CheckpointError,
  InternalError,
  LayerwiseError,
  NumericError,
  OptionError,
  RemoteError,
  ResourceError,
  ShapeError,
  UnsupportedError,
} from './base/portable.js';
export type { Choice, Decoder, DecoderInfo, GreedyWriter, OpenDecoder, StepPart } from './decoder/portable.js';
export {
  type BytesOptions,
  type ChatMessage,
  type ChatTemplate,
  createSampler,
  encodePrompt,
  type Finish,
  type Generated,
  type GenerateRequest,
  generateText,
  type Language,
  type OpenedDecoder,
  openBytes,
  openBytesForText,
  type Sampler,
  type Sampling,
} from './generation/portable.js';
export type { KernelSource } from './kernels/portable.js';
export type { PackedBytes } from './packed/portable.js';
export type { Codec } from './text/portable.js';
