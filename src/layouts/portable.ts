export { checkLayout, checkLinear } from './check.js';
export { decodeLinear, decodeQuantised } from './decode.js';
export type { EncodedLinear, FixedTiles, IntegerValues, LinearLayout, SortedTiles } from './linear.js';
export { columnsOfBytes } from './masks.js';
export { decodeScales } from './scales.js';
export {
  activationBytes,
  denseRowBytes,
  rowGroups,
  SCALE_GROUP,
  scaleGroups,
  TILE_COLUMNS,
  TILE_ROWS,
  tilesPerRow,
} from './shape.js';
export { readTile } from './slots.js';
export { storedTiles } from './tiles.js';
