export { dequantise } from './dequantise.js';
export { type GgufHeader, type GgufTensor, isGguf, readGguf } from './header.js';
export { BLOCK_TYPES, type BlockType, type BlockTypeName } from './types.js';
