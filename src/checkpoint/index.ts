export { activationsOf, refuseActivations } from './activations.js';
export { allocate } from './allocate.js';
export { calibrationOf } from './calibration.js';
export { describeForeign, findQuantised } from './foreign.js';
export { isGgufPath } from './gguf-path.js';
export { readFully, statIfThere, withFile, writeFully } from './io.js';
export { type Checkpoint, givenPath, INDEX, type Origin, openCheckpoint } from './open.js';
export { hashCheckpoint, readRows, readTensor, readTensorFloat32, readTensorRange } from './read.js';
export { keepTensor, type Move, type Moves, moveTensor, writeReplaced } from './rewrite.js';
export { readSafetensors, type TensorInfo } from './safetensors.js';
export {
  type Grid,
  type GridNumbers,
  hasScales,
  type LinearGrid,
  readScales,
  SCALES_FILE,
  type ScalesFile,
  writeScales,
} from './scales.js';
export { type TensorEdit, type TensorInSlabs, type TensorToWrite, writeCheckpoint, writeSafetensors } from './write.js';
