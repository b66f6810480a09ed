export { dequantise } from './dequantise.js';
export { type GgufHeader, type GgufTensor, isGguf, readGguf } from './header.js';
export { openTwin, type Twin } from './twin.js';
export { nearestTo, roundToGrid } from './round.js';
export { BLOCK_TYPES, type BlockType, type BlockTypeName } from './types.js';
