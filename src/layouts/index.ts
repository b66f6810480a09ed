export { checkLayout, checkLinear } from './check.js';
export { decodeLinear, decodeQuantised } from './decode.js';
export { encodeDense, encodeDenseFloat, layoutDense } from './dense.js';
export {
  type EncodedLinear,
  type FloatMatrix,
  type IntegerValues,
  type LinearLayout,
  layoutBytes,
  type QuantisedMatrix,
  RANGES,
  type TileValues,
} from './linear.js';
export { MASKED_SLOTS } from './masks.js';
export { encodeRows, layoutRows } from './rows.js';
export { activationBytes, SCALE_GROUP, scaleGroups } from './shape.js';
export { tileBytes } from './slots.js';
export {
  countSlots,
  encodeFixedTiles,
  encodeMaskedTiles,
  encodeSortedTiles,
  layoutFixedTiles,
  layoutMaskedTiles,
  layoutSortedTiles,
} from './tiles.js';
