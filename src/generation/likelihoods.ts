// The log-probabilities that zero-shot tasks ask for, through the runtime. As many walks as the decoder has sequences go side
// by side, a part of each in a step. What a request gets depends neither on that nor on what else is asked.

import type { OnProgress } from '../base/index.js';
import type { Decoder } from '../decoder/index.js';
import { type EncodedRequest, type Likelihood, refuseLikelihood } from '../zeroshot/index.js';
import { normaliseRow } from './scores.js';
import { type Ask, legsOf, planWalks } from './walk.js';

/** Logits of one step hold about this many numbers (64 MB). */
const LOGITS_PER_STEP = 1 << 24;

/** The likelihood of each sequence; a step of progress for each. @throws NumericError E_NUMERIC_LOSS */
export async function scoreRequests(
  decoder: Decoder,
  sequences: readonly EncodedRequest[],
  onProgress: OnProgress,
): Promise<readonly Likelihood[]> {
  const { vocabulary } = decoder.info;
  const walks = planWalks(sequences, decoder.info.sequences);
  const rows = Math.max(1, Math.floor(LOGITS_PER_STEP / vocabulary / walks.length));
  const sums = new Float64Array(sequences.length);
  const greedy = sequences.map(() => true);
  const open = sequences.map(({ targets }) => targets.length);
  const take = (asks: readonly Ask[], logits: Float32Array): void => {
    const { largest, normaliser } = normaliseRow(logits);
    for (const { sequence, token } of asks) {
      sums[sequence]! += logits[token]! - largest - normaliser;
      greedy[sequence] &&= logits[token] === largest;
      if (--open[sequence]! > 0) continue;
      if (!Number.isFinite(sums[sequence])) refuseLikelihood(sequence, sums[sequence]!);
      onProgress({ kind: 'advance' });
    }
  };
  const walkers = walks.map((walk) => ({ sequence: decoder.open(), legs: legsOf(walk, rows) }));
  try {
    for (;;) {
      const parts = walkers.flatMap(({ sequence, legs }) => {
        const { value: leg } = legs.next();
        return leg ? [{ sequence, ...leg }] : [];
      });
      if (parts.length === 0) break;
      for (const { sequence, from } of parts) decoder.truncate(sequence, from);
      const results = await decoder.step(parts);
      for (const [i, { asks }] of parts.entries()) {
        for (const [row, some] of asks.entries()) {
          take(some, results[i]!.subarray(row * vocabulary, (row + 1) * vocabulary));
        }
      }
    }
  } finally {
    for (const { sequence } of walkers) decoder.release(sequence);
  }
  return sequences.map((_, i) => ({ logProbability: sums[i]!, greedy: greedy[i]! }));
}
