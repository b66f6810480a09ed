// Rotary position embedding (arXiv 2104.09864), halves rotated as in LLaMA: tables of cos and sin, [T, headDim / 2].
// Scaling `linear` divides every frequency by `factor`; `llama3` (LLaMA 3.1) divides the low ones, keeps the high ones
// and blends between. Frequencies are rounded to float32 where transformers rounds them, so that long positions agree.

export type RopeScaling =
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalMaxPositions: number;
    };

export type Rope = { readonly theta: number; readonly scaling: RopeScaling | undefined };

/** cos and sin of position × frequency, each row-major [positions, headDim / 2]. */
export function ropeTables(
  rope: Rope,
  headDim: number,
  positions: number,
): { readonly cos: Float32Array; readonly sin: Float32Array } {
  const half = headDim / 2;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let i = 0; i < half; i++) {
    const frequency = Math.fround(scaledFrequency(1 / rope.theta ** ((2 * i) / headDim), rope.scaling));
    for (let t = 0; t < positions; t++) {
      const angle = Math.fround(t * frequency);
      cos[t * half + i] = Math.cos(angle);
      sin[t * half + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}

function scaledFrequency(frequency: number, scaling: RopeScaling | undefined): number {
  if (!scaling) return frequency;
  if (scaling.kind === 'linear') return frequency / scaling.factor;
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < originalMaxPositions / high) return frequency;
  if (wavelength > originalMaxPositions / low) return frequency / factor;
  const smooth = (originalMaxPositions / wavelength - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}
