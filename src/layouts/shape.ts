// The numbers that layouts and kernels share. This file imports nothing, so a web page can load it too.

/** Rows of a tile, and of a row group. */
export const TILE_ROWS = 8;
/** Columns of a tile. */
export const TILE_COLUMNS = 16;
/** Columns that share a scale in int4, int3 and int2. */
export const SCALE_GROUP = 128;
/** The sum of this many products of two numbers in [−127, 127] fits in 32 bits. */
export const LARGEST_COLUMNS = 131072;
/** A quantised activation vector is padded with zeros to a multiple of this, which dense int3 and int2 read whole. */
const ACTIVATION_PADDING = SCALE_GROUP;

export type Shape = { readonly rows: number; readonly columns: number };

export const roundUp = (n: number, multiple: number): number => Math.ceil(n / multiple) * multiple;
export const rowGroups = ({ rows }: Shape): number => Math.ceil(rows / TILE_ROWS);
export const tilesPerRow = ({ columns }: Shape): number => Math.ceil(columns / TILE_COLUMNS);
export const scaleGroups = ({ columns }: Shape): number => Math.ceil(columns / SCALE_GROUP);
/** Bytes of one quantised activation vector, padding included. */
export const activationBytes = (columns: number): number => roundUp(columns, ACTIVATION_PADDING);

/** Bytes of one row of a dense linear. An int4 row has whole blocks of 32 columns, an int3 or int2 row of 128. */
export function denseRowBytes(columns: number, values: 'f32' | 'int8' | 'int4' | 'int3' | 'int2'): number {
  if (values === 'f32') return columns * 4;
  if (values === 'int3' || values === 'int2') return roundUp(columns, SCALE_GROUP) * (values === 'int3' ? 0.375 : 0.25);
  return values === 'int8' ? roundUp(columns, 16) : roundUp(columns, 32) / 2;
}
