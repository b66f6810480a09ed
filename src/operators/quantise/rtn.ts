// Round to nearest: q = round(w / scale). The scale has the least Σ |w − ŵ|³: without calibration text nothing says which
// inputs are large, and large weights often read them. Squares clip too many of those, cubes few (docs/lab/methods.md).

import { LEAST_SQUARES, type ScaleSearch, wholeIn } from './grid.js';
import { roundingOperator } from './rounding.js';

const LEAST_CUBES: ScaleSearch = {
  ...LEAST_SQUARES,
  loss: ({ weights, count }, scale, low, high) => {
    const inverse = 1 / scale;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const w = weights[i]!;
      const rest = Math.abs(w - scale * wholeIn(w * inverse, low, high));
      sum += rest * rest * rest;
    }
    return sum;
  },
};

export const rtn = roundingOperator(
  'rtn',
  'rounds every weight to the nearest; scales of the least Σ|error|³; needs no text',
  LEAST_CUBES,
);
