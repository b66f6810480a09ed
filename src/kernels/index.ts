export { type Kernels, LARGEST_BLOCK, type SweepPanel, WIDEST_PANEL } from './kernels.js';
export { checkLayout, checkLinear } from './layouts/check.js';
export { decodeLinear, decodeQuantised } from './layouts/decode.js';
export { encodeDense, encodeDenseFloat, layoutDense } from './layouts/dense.js';
export {
  ACTIVATION_PADDING,
  activationBytes,
  type DenseLayout,
  type EncodedLinear,
  type FixedTiles,
  type FloatMatrix,
  INT4_GROUP,
  type IntegerValues,
  LARGEST_COLUMNS,
  type LinearLayout,
  layoutBytes,
  PART_ALIGNMENT,
  type Part,
  type QuantisedMatrix,
  type RowsLayout,
  type SortedTiles,
  scaleGroups,
  TILE_COLUMNS,
  TILE_ROWS,
} from './layouts/linear.js';
export { encodeRows, layoutRows } from './layouts/rows.js';
export { tileBytes } from './layouts/slots.js';
export {
  countSlots,
  encodeFixedTiles,
  encodeSortedTiles,
  layoutFixedTiles,
  layoutSortedTiles,
} from './layouts/tiles.js';
export { plainKernels } from './plain.js';
export { plainMultiply, plainMultiplyQuantised, plainQuantise, type QuantisedVector } from './plain-linear.js';
export { loadKernels } from './wasm.js';
