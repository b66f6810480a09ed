// Adam (Kingma, Ba 2015) without weight decay, and the learning rate's course of the paper's code: up during the first 5 % of
// the steps, constant, down by a half cosine over the last 75 %.

export type Adam = (values: Float32Array, gradient: Float32Array, rate: number) => void;

/** Changes `values` in place; the moments start at 0. */
export function createAdam(size: number, [beta1, beta2] = [0.9, 0.999]): Adam {
  const [m, v] = [new Float64Array(size), new Float64Array(size)];
  let step = 0;
  return (values, gradient, rate) => {
    step++;
    const [c1, c2] = [1 - beta1! ** step, 1 - beta2! ** step];
    for (let i = 0; i < size; i++) {
      const g = gradient[i]!;
      m[i] = beta1! * m[i]! + (1 - beta1!) * g;
      v[i] = beta2! * v[i]! + (1 - beta2!) * g * g;
      values[i]! -= (rate * (m[i]! / c1)) / (Math.sqrt(v[i]! / c2) + 1e-8);
    }
  };
}

/** The share of the learning rate at step `at` of `steps`. */
export function ramp(at: number, steps: number): number {
  const t = at / steps;
  const down = Math.min(1, (1 - t) / 0.75);
  return (0.5 - 0.5 * Math.cos(down * Math.PI)) * Math.min(1, (at + 1) / Math.ceil(0.05 * steps));
}
