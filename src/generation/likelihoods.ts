// The log-probabilities that zero-shot tasks need, from a decoder. The requests are divided into as many traversals as the
// decoder has sequences; a step takes one part of each. A request's result depends neither on this nor on other requests.

import type { OnProgress } from '../base/index.js';
import type { Decoder } from '../decoder/index.js';
import { type EncodedRequest, type Likelihood, refuseLikelihood } from '../zeroshot/index.js';
import { planTraversals, readSteps, type Target } from './prefix-tree.js';
import { normaliseRow } from './scores.js';

/** Logits of one step hold about this many numbers (64 MB). */
const LOGITS_PER_STEP = 1 << 24;

/** The likelihood of each sequence; a step of progress for each. @throws NumericError E_NUMERIC_LOSS */
export async function scoreRequests(
  decoder: Decoder,
  sequences: readonly EncodedRequest[],
  onProgress: OnProgress,
): Promise<readonly Likelihood[]> {
  const { vocabulary } = decoder.info;
  const traversals = planTraversals(sequences, decoder.info.sequences);
  const rows = Math.max(1, Math.floor(LOGITS_PER_STEP / vocabulary / traversals.length));
  const sums = new Float64Array(sequences.length);
  const greedy = sequences.map(() => true);
  const open = sequences.map(({ targets }) => targets.length);
  const take = (targets: readonly Target[], logits: Float32Array): void => {
    const { largest, normaliser } = normaliseRow(logits);
    for (const { sequence, token } of targets) {
      sums[sequence]! += logits[token]! - largest - normaliser;
      greedy[sequence] &&= logits[token] === largest;
      if (--open[sequence]! > 0) continue;
      if (!Number.isFinite(sums[sequence])) refuseLikelihood(sequence, sums[sequence]!);
      onProgress({ kind: 'advance' });
    }
  };
  const readers = traversals.map((one) => ({ sequence: decoder.open(), steps: readSteps(one, rows) }));
  try {
    for (;;) {
      const parts = readers.flatMap(({ sequence, steps }) => {
        const { value: step } = steps.next();
        return step ? [{ sequence, ...step }] : [];
      });
      if (parts.length === 0) break;
      for (const { sequence, from } of parts) decoder.truncate(sequence, from);
      const results = await decoder.step(parts);
      for (const [i, { targets }] of parts.entries()) {
        for (const [row, some] of targets.entries()) {
          take(some, results[i]!.subarray(row * vocabulary, (row + 1) * vocabulary));
        }
      }
    }
  } finally {
    for (const { sequence } of readers) decoder.release(sequence);
  }
  return sequences.map(({ targets }, i) => ({
    logProbability: sums[i]!,
    tokens: targets.length,
    greedy: greedy[i]!,
  }));
}
