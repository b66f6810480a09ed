export { type Arena, createArena } from './arena.js';
export { type Kernels, LARGEST_BLOCK, type SweepPanel, WIDEST_PANEL } from './kernels.js';
export { checkLayout, checkLinear } from './layouts/check.js';
export { decodeLinear, decodeQuantised } from './layouts/decode.js';
export { encodeDense, encodeDenseFloat, layoutDense } from './layouts/dense.js';
export {
  type DenseLayout,
  type EncodedLinear,
  type FixedTiles,
  type FloatMatrix,
  type IntegerValues,
  type LinearLayout,
  layoutBytes,
  type Part,
  type QuantisedMatrix,
  type RowsLayout,
  type SortedTiles,
} from './layouts/linear.js';
export { encodeRows, layoutRows } from './layouts/rows.js';
export {
  ACTIVATION_PADDING,
  activationBytes,
  INT4_GROUP,
  LARGEST_COLUMNS,
  PART_ALIGNMENT,
  scaleGroups,
  TILE_COLUMNS,
  TILE_ROWS,
} from './layouts/shape.js';
export { tileBytes } from './layouts/slots.js';
export {
  countSlots,
  encodeFixedTiles,
  encodeSortedTiles,
  layoutFixedTiles,
  layoutSortedTiles,
} from './layouts/tiles.js';
export { plainKernels } from './plain.js';
export {
  type PlainAttention,
  plainActivate,
  plainAttend,
  plainNormalise,
  plainNormaliseLayer,
  plainRotate,
} from './plain-decoder.js';
export { plainMultiply, plainMultiplyQuantised, plainQuantise, type QuantisedVector } from './plain-linear.js';
export { readRuntimeModule } from './runtime-file.js';
export {
  type BoundLinear,
  createRuntimeKernels,
  type LinearInput,
  type QuantisedRows,
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
export { type Answer, joinTeam, type Member, type Program, startTeam, type Team } from './team.js';
export { loadKernels } from './wasm.js';
