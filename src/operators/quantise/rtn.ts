// Round to nearest: q = round(w / scale), with the scale of the least squared error (grid.ts).

import { LEAST_SQUARES } from './grid.js';
import { roundingOperator } from './rounding.js';

export const rtn = roundingOperator(
  'rtn',
  'rounds every weight to the nearest; scales of the least squared error; needs no text',
  LEAST_SQUARES,
);
