// Activations as WGSL: an expression of v, and the functions that it needs.

import type { Activation } from './names.js';

/** erf by Abramowitz and Stegun, 7.1.26, as on the CPU; tanh of numbers for which no driver overflows. */
export const ACTIVATIONS: Readonly<Record<Activation, { readonly call: string; readonly text: string }>> = {
  silu: { call: 'v / (1f + exp(-v))', text: '' },
  relu: { call: 'max(v, 0f)', text: '' },
  gelu: {
    call: '0.5f * v * (1f + erf(v * 0.70710678f))',
    text: `fn erf(x: f32) -> f32 {
  let a = abs(x);
  let t = 1f / (1f + 0.3275911f * a);
  let e = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
  let v = 1f - e * exp(-a * a);
  return select(v, -v, x < 0f);
}
`,
  },
  gelu_tanh: { call: '0.5f * v * (1f + tanh(clamp(0.79788456f * (v + 0.044715f * v * v * v), -15f, 15f)))', text: '' },
};
