// Rotary position embedding (arXiv 2104.09864), halves rotated as in LLaMA: tables of cos and sin, [T, dims / 2]. Scaling:
// `linear` divides every frequency by `factor`; `llama3` (LLaMA 3.1) divides the low ones, keeps the high ones and blends
// between; `longrope` (arXiv 2402.13753) divides each by a factor of its own, from one list for sequences up to the
// original length and from another for longer ones, and scales cos and sin. Frequencies are rounded to float32 where
// transformers rounds them, so that long positions agree.

export type RopeScaling =
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalMaxPositions: number;
    }
  | {
      readonly kind: 'longrope';
      readonly short: readonly number[];
      readonly long: readonly number[];
      readonly originalMaxPositions: number;
      /** The factor of cos and sin. */
      readonly attention: number;
    };

export type Rope = {
  readonly theta: number;
  /** How many of a head’s values are rotated, counted from the first; even. */
  readonly dims: number;
  readonly scaling: RopeScaling | undefined;
};

/**
 * cos and sin of position × frequency for T positions, each row-major [T, dims / 2], for sequences of up to `longest`
 * tokens. `longest` defaults to T.
 */
export function ropeTables(
  rope: Rope,
  T: number,
  longest = T,
): { readonly cos: Float32Array; readonly sin: Float32Array } {
  const half = rope.dims / 2;
  const cos = new Float32Array(T * half);
  const sin = new Float32Array(T * half);
  const size = rope.scaling?.kind === 'longrope' ? rope.scaling.attention : 1;
  for (let i = 0; i < half; i++) {
    const frequency = Math.fround(scaledFrequency(1 / rope.theta ** ((2 * i) / rope.dims), rope.scaling, i, longest));
    for (let t = 0; t < T; t++) {
      const angle = Math.fround(t * frequency);
      cos[t * half + i] = Math.cos(angle) * size;
      sin[t * half + i] = Math.sin(angle) * size;
    }
  }
  return { cos, sin };
}

/** What the scaling divides each frequency by, for sequences of up to the original length. */
export const ropeFactors = (rope: Rope): Float32Array =>
  Float32Array.from({ length: rope.dims / 2 }, (_, i) => {
    const frequency = 1 / rope.theta ** ((2 * i) / rope.dims);
    return frequency / scaledFrequency(frequency, rope.scaling, i, 0);
  });

/**
 * Sequences longer than this use other frequencies at all positions than shorter ones (longrope); ∞ where length does not
 * matter.
 */
export const longestAlike = (rope: Rope | undefined): number =>
  rope?.scaling?.kind === 'longrope' ? rope.scaling.originalMaxPositions : Number.POSITIVE_INFINITY;

function scaledFrequency(frequency: number, scaling: RopeScaling | undefined, i: number, longest: number): number {
  if (!scaling) return frequency;
  if (scaling.kind === 'linear') return frequency / scaling.factor;
  if (scaling.kind === 'longrope') {
    return frequency / (longest > scaling.originalMaxPositions ? scaling.long : scaling.short)[i]!;
  }
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < originalMaxPositions / high) return frequency;
  if (wavelength > originalMaxPositions / low) return frequency / factor;
  const smooth = (originalMaxPositions / wavelength - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}
