export { openPackedBytes, type PackedBytes } from './bytes.js';
export { partOffsets } from './directory.js';
export { type PackedModel, readPackedConfig, requireTensors } from './packed.js';
export type { PackedFile } from './read.js';
