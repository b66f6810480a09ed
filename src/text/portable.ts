export { type Codec, codecOf, createCodec } from './codec.js';
