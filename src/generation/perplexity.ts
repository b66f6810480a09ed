// A text’s losses from a decoder, window by window as in evaluate/perplexity.ts: every token of a window but the first is
// scored, given those before it. Windows share nothing, so each is its own sequence.

import type { OnProgress } from '../base/index.js';
import type { Decoder } from '../decoder/index.js';
import type { Windows } from '../text/index.js';
import { scoreToken } from './scores.js';

/** Mean negative log-likelihood of each window, nats a token. */
export async function scoreWindows(
  decoder: Decoder,
  { windows, length }: Windows,
  onProgress: OnProgress,
): Promise<number[]> {
  const { vocabulary } = decoder.info;
  const nll: number[] = [];
  const sequence = decoder.open();
  try {
    for (const window of windows) {
      decoder.truncate(sequence, 0);
      const [logits] = await decoder.step([{ sequence, tokens: [...window.subarray(0, -1)], logits: 'all' }]);
      let sum = 0;
      for (let t = 1; t < length; t++) {
        sum -= scoreToken(logits!.subarray((t - 1) * vocabulary, t * vocabulary), window[t]!, 0).logprob;
      }
      nll.push(sum / (length - 1));
      onProgress({ kind: 'advance' });
    }
  } finally {
    decoder.release(sequence);
  }
  return nll;
}
