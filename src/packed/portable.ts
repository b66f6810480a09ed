export { openPackedBytes, type PackedBytes } from './bytes.js';
export { type Directory, partOffsets, type TensorEntry, type TextFile } from './directory.js';
export { type PackedModel, type ReadOptions, readPackedConfig, requireTensors } from './packed.js';
export type { PackedFile } from './read.js';
