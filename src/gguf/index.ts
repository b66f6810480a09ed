export { dequantise } from './dequantise.js';
export { type GgufHeader, type GgufTensor, readGguf } from './header.js';
export { openTwin, type Twin } from './twin.js';
export { BLOCK_TYPES, type BlockType, type BlockTypeName } from './types.js';
