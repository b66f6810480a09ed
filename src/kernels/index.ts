export { createArena, reserveMemory } from './arena.js';
export { plainActivate, plainAttend, plainNormalise, plainNormaliseLayer, plainRotate } from './plain-decoder.js';
export { plainMultiply, plainMultiplyQuantised, plainQuantise } from './plain-linear.js';
export { readRuntimeModule } from './runtime-file.js';
export {
  type BoundLinear,
  createRuntimeKernels,
  type LinearInput,
  type Range,
  type Rows,
  type RuntimeKernels,
  SUMS_BYTES,
  scoresBytes,
  sumsBytes,
} from './runtime-kernels.js';
export {
  compileRuntime,
  createRuntimeMemory,
  hasByteDots,
  type RuntimeMemory,
  type RuntimeModule,
} from './runtime-module.js';
