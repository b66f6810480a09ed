// After HQQ (Badri and Shaji, "Half-Quadratic Quantization", 2023): the scale with the smallest Σ |w − ŵ|^p, which forgives a
// few large errors more than squares do. From the best scale of the search, up to 20 turns of
//   e = shrink(w − ŵ):  sign(x)·max(|x| − |x|^(p−1)/β, 0),  x in units of the scale;   scale = Σ (w − e)·q / Σ q²;   β ← 1.01·β.
// We differ: HQQ moves a zero point and keeps the scale. Our grid has no zero point, so that a zero stays exact, and the
// turns move the scale: then it clips large weights, and is far worse than rtn (docs/lab/methods.md). p = 3/4 in place of 0.7: it is made of square roots, which every machine rounds alike.

import { type ScaleSearch, wholeIn } from './grid.js';
import { roundingOperator } from './rounding.js';

const BETA = 10;
const GROWTH = 1.01;

const HALF_QUADRATIC: ScaleSearch = {
  loss: ({ weights, count }, scale, low, high) => {
    const inverse = 1 / scale;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const w = weights[i]!;
      const root = Math.sqrt(Math.abs(w - scale * wholeIn(w * inverse, low, high)));
      sum += root * Math.sqrt(root);
    }
    return sum;
  },
  refine: ({ weights, count }, scale, low, high, turn) => {
    const inverse = 1 / scale;
    const beta = BETA * GROWTH ** turn;
    let [products, squares] = [0, 0];
    for (let i = 0; i < count; i++) {
      const x = weights[i]! * inverse;
      const q = wholeIn(x, low, high);
      const size = Math.abs(x - q);
      const shrunk = size > 0 ? Math.max(size - 1 / (Math.sqrt(Math.sqrt(size)) * beta), 0) : 0;
      products += (x < q ? x + shrunk : x - shrunk) * q;
      squares += q * q;
    }
    return squares > 0 ? (scale * products) / squares : scale;
  },
  turns: 20,
};

export const hqq = roundingOperator(
  'hqq',
  'rounds every weight to the nearest; scales of the least Σ|error|^¾, which clips outliers; needs no text; for comparison: worse than rtn on this grid (after HQQ)',
  HALF_QUADRATIC,
);
