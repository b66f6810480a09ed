// A text’s losses from a decoder, window by window as in evaluate/perplexity.ts: every token of a window but the first is
// scored, given those before it. Windows share nothing, so each is its own sequence.

import type { OnProgress } from '../base/index.js';
import type { Decoder } from '../decoder/index.js';
import type { Windows } from '../text/index.js';
import { scoreToken } from './scores.js';

/** Logits of one step hold about this many numbers (64 MB). */
const LOGITS_PER_STEP = 1 << 24;

/** Sees the logits [rows, V] of positions `first`, `first + 1`, … of a window; the array is valid until it returns. */
export type VisitLogits = (window: number, first: number, logits: Float32Array) => Promise<void> | void;

/** Shows `visit` the logits of all positions of each window but the last, in order, in parts that fit. */
export async function readWindows(
  decoder: Decoder,
  { windows }: Windows,
  visit: VisitLogits,
  onProgress: OnProgress,
): Promise<void> {
  const rows = Math.max(1, Math.floor(LOGITS_PER_STEP / decoder.info.vocabulary));
  const sequence = decoder.open();
  try {
    for (const [w, window] of windows.entries()) {
      decoder.truncate(sequence, 0);
      const tokens = [...window.subarray(0, -1)];
      for (let at = 0; at < tokens.length; at += rows) {
        const part = { sequence, tokens: tokens.slice(at, at + rows), logits: 'all' } as const;
        const [logits] = await decoder.step([part]);
        await visit(w, at, logits!);
      }
      onProgress({ kind: 'advance' });
    }
  } finally {
    decoder.release(sequence);
  }
}

/** Mean negative log-likelihood of each window, nats a token. `also` sees the logits too. */
export async function scoreWindows(
  decoder: Decoder,
  windows: Windows,
  onProgress: OnProgress,
  also?: VisitLogits,
): Promise<number[]> {
  const { vocabulary } = decoder.info;
  const sums = windows.windows.map(() => 0);
  const visit: VisitLogits = async (w, first, logits) => {
    const window = windows.windows[w]!;
    for (let row = 0; row * vocabulary < logits.length; row++) {
      const next = window[first + row + 1]!;
      sums[w]! -= scoreToken(logits.subarray(row * vocabulary, (row + 1) * vocabulary), next, 0).logprob;
    }
    await also?.(w, first, logits);
  };
  await readWindows(decoder, windows, visit, onProgress);
  return sums.map((sum) => sum / (windows.length - 1));
}
