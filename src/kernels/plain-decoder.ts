// Scalar twins of the decoder's kernels between its products, in plain TypeScript. They compute in double precision and
// round at the end, except the rotation, which rounds as the kernel does; the kernel must match it to the last bit.

const { fround } = Math;

/** x / √(mean x² + epsilon) · weight. */
export function plainNormalise(x: Float32Array, weight: Float32Array, epsilon: number): Float32Array {
  const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
  const factor = 1 / Math.sqrt(mean + epsilon);
  return x.map((value, i) => value * factor * weight[i]!);
}

/** Rotates the two halves of the first cosines.length · 2 numbers of a head against each other. */
export function plainRotate(x: Float32Array, cosines: Float32Array, sines: Float32Array): Float32Array {
  const y = x.slice();
  const half = cosines.length;
  for (let i = 0; i < half; i++) {
    const [a, b, c, s] = [x[i]!, x[half + i]!, cosines[i]!, sines[i]!];
    y[i] = fround(a * c) - fround(b * s);
    y[half + i] = fround(b * c) + fround(a * s);
  }
  return y;
}

/** (x − mean x) / √(variance + epsilon) · weight + bias. */
export function plainNormaliseLayer(
  x: Float32Array,
  weight: Float32Array,
  bias: Float32Array | undefined,
  epsilon: number,
): Float32Array {
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  const factor = 1 / Math.sqrt(variance + epsilon);
  return x.map((value, i) => (value - mean) * factor * weight[i]! + (bias?.[i] ?? 0));
}

const ACTIVATIONS = {
  silu: (x: number): number => x / (1 + Math.exp(-x)),
  gelu: (x: number): number => (x / 2) * (1 + errorFunction(x / Math.SQRT2)),
  gelu_tanh: (x: number): number => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu: (x: number): number => Math.max(x, 0),
} as const;

/** erf x: its series up to 2; beyond that, 1 minus the continued fraction of erfc. */
function errorFunction(x: number): number {
  const size = Math.abs(x);
  if (size > 2) {
    let tail = size;
    for (let k = 100; k > 0; k--) tail = size + k / 2 / tail;
    return Math.sign(x) * (1 - Math.exp(-size * size) / (Math.sqrt(Math.PI) * tail));
  }
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-20; n++) {
    term *= -(x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

/** activation(x), times `up` where there is one. */
export const plainActivate = (kind: keyof typeof ACTIVATIONS, x: Float32Array, up?: Float32Array): Float32Array =>
  x.map((value, i) => ACTIVATIONS[kind](value) * (up?.[i] ?? 1));

export type PlainAttention = {
  /** [tokens, heads, size] */
  readonly q: Float32Array;
  /** [key-value heads, positions, size] */
  readonly keys: Float32Array;
  readonly values: Float32Array;
  readonly heads: number;
  readonly size: number;
  readonly shared: number;
  readonly positions: number;
  readonly start: number;
  readonly tokens: number;
  readonly window: number;
  readonly scale: number;
  /** 0 for no cap. */
  readonly cap: number;
};

/** Causal attention of queries at start, start + 1, … over a cache; [tokens, heads, size]. */
export function plainAttend(call: PlainAttention): Float32Array {
  const { q, keys, values, heads, size, shared, positions, start, tokens, window, scale, cap } = call;
  const y = new Float32Array(q.length);
  for (let token = 0; token < tokens; token++) {
    for (let head = 0; head < heads; head++) {
      const own = (token * heads + head) * size;
      const cache = Math.floor(head / shared) * positions * size;
      const end = start + token + 1;
      const first = window > 0 ? Math.max(end - window, 0) : 0;
      const scores: number[] = [];
      for (let position = first; position < end; position++) {
        let dot = 0;
        for (let i = 0; i < size; i++) dot += q[own + i]! * keys[cache + position * size + i]!;
        scores.push(cap > 0 ? cap * Math.tanh((dot * scale) / cap) : dot * scale);
      }
      const largest = scores.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY);
      const weights = scores.map((score) => Math.exp(score - largest));
      const sum = weights.reduce((a, b) => a + b, 0);
      for (let i = 0; i < size; i++) {
        let mean = 0;
        for (const [k, weight] of weights.entries()) mean += weight * values[cache + (first + k) * size + i]!;
        y[own + i] = mean / sum;
      }
    }
  }
  return y;
}
