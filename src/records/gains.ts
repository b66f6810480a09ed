// What a chosen plan gains over uniform on two texts. A search chooses by validation text; a gain that is much smaller on
// another text belongs to the form of the first, not to the model. Losses are recorded window by window, so everything here
// can be computed again.

import { z } from 'zod';
import { evaluationSchema } from './evaluation.js';

/** ln(perplexity(uniform) / perplexity(plan)) in nats a token; positive is better. The 95 % interval is paired over windows. */
const gainSchema = z.object({ nats: z.number(), interval: z.tuple([z.number(), z.number()]) });
export type Gain = Readonly<z.infer<typeof gainSchema>>;

export const gainsSchema = z.object({
  /** Scores on a sample of the calibration windows. */
  calibration: z.object({ dense: evaluationSchema, uniform: evaluationSchema, chosen: evaluationSchema }),
  onValidation: gainSchema,
  onCalibration: gainSchema,
  /** Whether one gain is less than half of the other, beyond the noise. */
  parted: z.boolean(),
});
export type Gains = Readonly<z.infer<typeof gainsSchema>>;

/** The gain of a plan, from the losses of the same windows. */
export function gainOf(plan: readonly number[], uniform: readonly number[]): Gain {
  const n = plan.length;
  const gains = uniform.map((loss, i) => loss - plan[i]!);
  const nats = gains.reduce((a, b) => a + b, 0) / n;
  const variance = n < 2 ? 0 : gains.reduce((sum, gain) => sum + (gain - nats) ** 2, 0) / (n - 1);
  const margin = 1.96 * Math.sqrt(variance / n);
  return { nats, interval: [nats - margin, nats + margin] };
}

/**
 * Whether the smaller gain is less than half of the larger one: the larger is above 0, and the 95 % interval of
 * smaller − larger / 2 is below 0 (the texts are independent, so variances add).
 */
export function havePartedGains(a: Gain, b: Gain): boolean {
  const [smaller, larger] = a.nats <= b.nats ? [a, b] : [b, a];
  const [margin, half] = [smaller.nats - smaller.interval[0], (larger.nats - larger.interval[0]) / 2];
  return larger.interval[0] > 0 && smaller.nats - larger.nats / 2 < -Math.hypot(margin, half);
}
