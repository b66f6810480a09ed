// Greedy texts of many prompts at once, as tokens. No token ends a text: every text gets all its tokens, because they are
// compared with those of another model.

import type { Decoder } from '../decoder/portable.js';
import { argmax } from './sampler.js';

/** `count` tokens after each prompt, each the likeliest, the lowest of equals. @throws NumericError E_NUMERIC_LOGITS */
export async function writeGreedily(
  decoder: Decoder,
  prompts: readonly (readonly number[])[],
  count: number,
): Promise<number[][]> {
  const texts = prompts.map((): number[] => []);
  const sequences = prompts.map(() => decoder.open());
  try {
    for (let n = 0; n < count; n++) {
      const parts = sequences.map((sequence, i) => {
        const tokens = n === 0 ? prompts[i]! : texts[i]!.slice(-1);
        return { sequence, tokens, logits: 'last' as const };
      });
      const rows = await decoder.step(parts);
      for (const [i, row] of rows.entries()) texts[i]!.push(argmax(row));
    }
  } finally {
    for (const sequence of sequences) decoder.release(sequence);
  }
  return texts;
}
