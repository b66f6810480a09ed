// The learning rate of a step: up in a line over the first 5 % of the steps, then down along a cosine to a tenth.

const WARM_UP = 0.05;
const LAST = 0.1;

/** The rate of step `step` (from 1) of `steps`. */
export function rateAt(step: number, steps: number, peak: number): number {
  const warm = Math.max(1, Math.ceil(WARM_UP * steps));
  if (step <= warm) return (peak * step) / warm;
  const along = (step - warm) / Math.max(1, steps - warm);
  return peak * (LAST + (1 - LAST) * 0.5 * (1 + Math.cos(Math.PI * along)));
}
