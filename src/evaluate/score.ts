// The loss of each window from the residual stream after the last block.

import { NumericError } from '../base/index.js';
import type { Engine, HostTensor } from '../engine/index.js';
import { type Activations, headGraph, inLanes, type Model } from '../model/index.js';
import type { Windows } from '../text/index.js';

/** Logits of one run of the head hold at most this many numbers (64 MB). */
const LOGITS_PER_RUN = 1 << 24;

/**
 * The mean negative log-likelihood of each window, in nats per token: every token but the first is scored.
 * @throws NumericError E_NUMERIC_LOSS where the model's output is not a number
 */
export async function scoreWindows(
  engine: Engine,
  model: Model,
  activations: Activations,
  windows: Windows,
): Promise<number[]> {
  const { length: T, width: D } = activations;
  const session = await engine.load(headGraph(model, 'nll'));
  const firstOf = startsOf(activations.chunks);
  const rowsPerRun = Math.max(1, Math.floor(LOGITS_PER_RUN / model.config.vocabulary));
  try {
    const parts = await inLanes(engine.lanes, activations.chunks.length, async (chunk) => {
      const data = await activations.read(chunk);
      const rows = activations.chunks[chunk]! * T;
      const nll = new Float32Array(rows);
      for (let row = 0; row < rows; row += rowsPerRun) {
        const count = Math.min(rowsPerRun, rows - row);
        const target = new BigInt64Array(count);
        for (let r = 0; r < count; r++) target[r] = BigInt(nextToken(windows, firstOf[chunk]!, row + r));
        const x: HostTensor = { type: 'f32', shape: [count, D], data: data.slice(row * D, (row + count) * D) };
        const result = await session.run({ x, target: { type: 'i64', shape: [count, 1], data: target } }, true);
        nll.set(result.nll!.data as Float32Array, row);
      }
      return Array.from({ length: activations.chunks[chunk]! }, (_, w) => {
        let sum = 0;
        for (let t = 0; t < T - 1; t++) sum += nll[w * T + t]!;
        return sum / (T - 1);
      });
    });
    const means = parts.flat();
    const bad = means.findIndex((mean) => !Number.isFinite(mean));
    if (bad >= 0) {
      throw new NumericError(
        'E_NUMERIC_LOSS',
        `The model's loss on window ${bad} is ${means[bad]}; its weights or the text are broken.`,
        {
          window: bad,
        },
      );
    }
    return means;
  } finally {
    await session.release();
  }
}

/** The token after row `row` of the chunk that starts at window `first`; 0 after a window's last, which is not scored. */
function nextToken(windows: Windows, first: number, row: number): number {
  const T = windows.length;
  const t = row % T;
  return t + 1 < T ? windows.windows[first + Math.floor(row / T)]![t + 1]! : 0;
}

function startsOf(counts: readonly number[]): number[] {
  const starts: number[] = [];
  let at = 0;
  for (const count of counts) {
    starts.push(at);
    at += count;
  }
  return starts;
}
