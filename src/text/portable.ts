export { type Codec, createCodec } from './codec.js';
