// AdamW (Loshchilov, Hutter 2019) as in PyTorch: with g the gradient and t the step, counted from 1,
//   w ← w·(1 − η·λ);  m ← β₁m + (1 − β₁)g;  v ← β₂v + (1 − β₂)g²;  w ← w − η·(m/(1 − β₁ᵗ)) / (√(v/(1 − β₂ᵗ)) + ε)
// Each element is computed in float64 and kept in float32. An element whose gradient was always 0 and that does not decay
// keeps its bits.

/** The running means of a gradient and of its square. */
export type Moments = { readonly m: Float32Array; readonly v: Float32Array };

export type AdamWSettings = {
  /** η. */
  readonly rate: number;
  /** λ, 0 for norms and biases. */
  readonly decay: number;
  /** t, from 1. */
  readonly step: number;
  /** Multiplies the gradient first, to clip it. */
  readonly scale: number;
};

const ADAMW = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8 } as const;

export const createMoments = (length: number): Moments => ({
  m: new Float32Array(length),
  v: new Float32Array(length),
});

/** Changes `w` and its moments in place. */
export function stepAdamW(w: Float32Array, gradient: Float32Array, moments: Moments, settings: AdamWSettings): void {
  const { m, v } = moments;
  const { rate, decay, step, scale } = settings;
  const { beta1, beta2, epsilon } = ADAMW;
  const kept = 1 - rate * decay;
  const size = rate / (1 - beta1 ** step);
  const correction = 1 / Math.sqrt(1 - beta2 ** step);
  for (let i = 0; i < w.length; i++) {
    const g = gradient[i]! * scale;
    m[i] = beta1 * m[i]! + (1 - beta1) * g;
    v[i] = beta2 * v[i]! + (1 - beta2) * g * g;
    w[i] = w[i]! * kept - (size * m[i]!) / (Math.sqrt(v[i]!) * correction + epsilon);
  }
}
