// The norm of a gradient that lies in several arrays, and the factor that clips it, as clip_grad_norm_ of PyTorch does.

/** The largest norm of a step's gradient. */
const LARGEST_NORM = 1;

/** ‖g‖ over all arrays, summed in float64 in the order given. */
export function normOf(gradients: Iterable<Float32Array>): number {
  let sum = 0;
  for (const gradient of gradients) for (let i = 0; i < gradient.length; i++) sum += gradient[i]! * gradient[i]!;
  return Math.sqrt(sum);
}

/** What to multiply a gradient of norm `norm` with, so that its norm is at most `largest`. */
export const clipFactor = (norm: number, largest = LARGEST_NORM): number => Math.min(1, largest / (norm + 1e-6));
