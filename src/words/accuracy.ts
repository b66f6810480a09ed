// Accuracies on images, as people read them.

import { formatPercent } from './numbers.js';

type Share = { readonly mean: number; readonly interval: readonly [number, number] };

/** `76.10 % (73.4 … 78.7)`. */
export const formatShare = ({ mean, interval: [low, high] }: Share): string =>
  `${formatPercent(mean, 2)} (${(100 * low).toFixed(1)} … ${(100 * high).toFixed(1)})`;

/** `−1.20 points (−2.1 … −0.3)`. */
export function formatGain({ mean, interval }: Share): string {
  const points = (share: number, digits: number): string => {
    const text = (100 * Math.abs(share)).toFixed(digits);
    return share < 0 && Number(text) !== 0 ? `−${text}` : text;
  };
  return `${points(mean, 2)} points (${points(interval[0], 1)} … ${points(interval[1], 1)})`;
}
