// Weights on a grid: W = q·s with q whole, in the range of the bits, and s a scale per group of columns. Latent weights u are
// trained beside the scales; q = round(u/s), clamped. The gradient passes the rounding as if it were not there (straight
// through); that of a scale is LSQ's (Esser et al., ICLR 2020): ∂W/∂s = q − u/s inside the range, q at its ends. A q that
// is 0 at the start stays 0. Scales are trained by their ratio to where they began, and rounded to F16 where the file has
// halves, so what is written lies on the grid that was trained.

import type { GridNumbers } from '../checkpoint/index.js';
import { nearestHalf, transpose } from '../tensor/index.js';
import type { Parameter } from './parameter.js';

export interface GridParameter extends Parameter {
  readonly bits: number;
  /** The scales as they are stored, [rows, groups]. */
  scales(): Float32Array;
}

/** A ratio of a scale moves this many times faster than a weight: it is near 1, where weights are near 0.05. */
const SCALE_SPEED = 3;

/** The parameter of a quantised linear. Its tensor is [columns, rows] in the file if `transposed`. */
export function gridParameter(tensor: string, grid: GridNumbers, transposed: boolean): GridParameter {
  const { rows, columns, bits, group, dtype, q: start, scales: begun } = grid;
  const [low, high] = bits === 8 ? [-127, 127] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  const groups = Math.ceil(columns / group);
  const ratios = new Float32Array(begun.length).fill(1);
  const latent = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < columns; j++) {
      const at = row * columns + j;
      latent[at] = start[at]! * begun[row * groups + Math.floor(j / group)]!;
    }
  }
  const scales = (): Float32Array => {
    const values = begun.map((scale, i) => scale * ratios[i]!);
    return dtype === 'F16' ? values.map(nearestHalf) : values;
  };
  const visit = (see: (at: number, scale: number, of: number, exact: number, q: number) => void): void => {
    const s = scales();
    for (let row = 0; row < rows; row++) {
      for (let j = 0; j < columns; j++) {
        const at = row * columns + j;
        const of = row * groups + Math.floor(j / group);
        const scale = s[of]!;
        if (start[at] === 0 || scale === 0) continue;
        const exact = latent[at]! / scale;
        see(at, scale, of, exact, Math.min(high, Math.max(low, Math.round(exact))));
      }
    }
  };
  return {
    tensor,
    bits,
    scales,
    variables: [
      { name: tensor, values: latent, decays: false, speed: 1 },
      { name: `${tensor}.scales`, values: ratios, decays: false, speed: SCALE_SPEED },
    ],
    values: () => {
      const W = new Float32Array(rows * columns);
      visit((at, scale, _, __, q) => {
        W[at] = q === 0 ? 0 : q * scale;
      });
      return transposed ? transpose(W, rows, columns) : W;
    },
    gradients: (gradient) => {
      const dW = transposed ? transpose(gradient, columns, rows) : gradient;
      const dLatent = new Float32Array(latent.length);
      const dRatios = new Float64Array(ratios.length);
      visit((at, _, of, exact, q) => {
        const inside = exact >= low - 0.5 && exact <= high + 0.5;
        if (inside) dLatent[at] = dW[at]!;
        dRatios[of]! += dW[at]! * (inside ? q - exact : q) * begun[of]!;
      });
      return [dLatent, Float32Array.from(dRatios)];
    },
  };
}
