export { dequantise } from './dequantise.js';
export { type GgufHeader, type GgufTensor, readGguf } from './header.js';
export { encodeGrid, holdsGrid, keepsZeros, quantise, WRITTEN_TYPES, type WrittenType } from './quantise.js';
export { nearestTo, roundToGrid } from './round.js';
export { openTwin, type Twin } from './twin.js';
export { BLOCK_TYPES, type BlockType, type BlockTypeName } from './types.js';
export { blockBytes, type GgufTensorToWrite, type GgufValue, ggufBytes, writeGguf } from './write.js';
