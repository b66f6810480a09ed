export { openPackedBytes, type PackedBytes } from './bytes.js';
export { ASKED, type Asked } from './choose.js';
export {
  type Directory,
  HEADS,
  type HeadValues,
  isExact,
  partOffsets,
  type StoredValues,
  TEXT_FILES,
  type TensorEntry,
  type TextFile,
  VALUES,
} from './directory.js';
export { headFor, type PackSettings } from './encode.js';
export { isPackedPath, openPacked } from './open.js';
export { type PackedModel, type ReadOptions, readPackedConfig, requireTensors } from './packed.js';
export { type Quantised, quantise } from './quantise.js';
export type { PackedFile } from './read.js';
export type { PackedTensor, PackSource } from './source.js';
export { makeDenseTwin } from './twin.js';
export { packInMemory, writePacked } from './write.js';
