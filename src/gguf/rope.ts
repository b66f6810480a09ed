// rope_freqs.weight: what the rotation's frequencies are divided by, one number for each pair. llama.cpp computes it from
// LLaMA 3's scaling when it converts a model and does not keep what it was computed from. So we compute it again for the
// parameters in use, and take those that give the file's numbers; other numbers are refused.

import type { Facts, Json } from './facts.js';
import { unsupportedGguf } from './refuse.js';

/** LLaMA 3.1 and later: bounds of the wavelengths, relative to a context of this many positions. */
const LOW = 1;
const HIGH = 4;
const CONTEXTS = [8192, 2048, 4096, 16384, 32768] as const;
/** The file's numbers are float32, computed in float32. */
const TOLERANCE = 4e-6;

/** The `rope_scaling` that these divisors come from. @throws UnsupportedError E_UNSUPPORTED_GGUF */
export function readFrequencies(
  facts: Facts,
  divisors: Float32Array,
  headDim: number,
  other: Json | null,
): Json | null {
  const refuse = (got: string) =>
    unsupportedGguf(
      facts.path,
      `rope_freqs.weight with ${got}`,
      "the divisors of LLaMA 3's rope scaling",
      'start from the safetensors checkpoint that it was made from',
    );
  if (other !== null) throw refuse('another scaling beside it');
  if (divisors.length !== headDim / 2) throw refuse(`${divisors.length} numbers for heads of ${headDim}`);
  if (divisors.every((divisor) => divisor === 1)) return null;
  const theta = facts.number('llama.rope.freq_base', 10_000);
  const factor = Number(divisors.at(-1)!.toPrecision(6));
  for (const context of CONTEXTS) {
    const expected = divisorsOf(theta, headDim, factor, context);
    const fits = expected.every((one, i) => Math.abs(divisors[i]! - one) <= TOLERANCE * one);
    if (!fits) continue;
    return {
      rope_type: 'llama3',
      factor,
      low_freq_factor: LOW,
      high_freq_factor: HIGH,
      original_max_position_embeddings: context,
    };
  }
  throw refuse('other numbers');
}

/** L is the context, w the wavelength of a pair: w < L / high stays, w > L / low is divided by the factor. */
function divisorsOf(theta: number, headDim: number, factor: number, L: number): readonly number[] {
  return Array.from({ length: headDim / 2 }, (_, i) => {
    const w = 2 * Math.PI * theta ** ((2 * i) / headDim);
    if (w < L / HIGH) return 1;
    if (w > L / LOW) return factor;
    const smooth = (L / w - LOW) / (HIGH - LOW);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
