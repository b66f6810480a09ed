export { openPackedBytes, type PackedBytes } from './bytes.js';
export { type Estimate, LAYOUT_CHOICES } from './choose.js';
export {
  type Directory,
  HEADS,
  type HeadValues,
  isExact,
  partOffsets,
  type StoredValues,
  type TensorEntry,
  VALUES,
} from './directory.js';
export { headFor, type PackSettings } from './encode.js';
export { estimateTable, estimateTensor } from './estimate.js';
export { isPackedPath, openPacked } from './open.js';
export { type PackedModel, readPackedConfig, requireTensors } from './packed.js';
export { quantise } from './quantise.js';
export type { PackedFile } from './read.js';
export type { PackedTensor, PackSource } from './source.js';
export { fullestTile, storedBits } from './stored-bits.js';
export { makeDenseTwin } from './twin.js';
export { packInMemory, writePacked } from './write.js';
