// Numbers as people read them. Nothing here depends on the machine's locale: equal records give equal bytes.

import type { Html } from './html.js';

const NARROW_SPACE = '\u202f';

/** Four significant digits, no trailing zeros: β and other hyperparameters. */
export const formatNumber = (value: number): string => String(Number(value.toPrecision(4)));

/** `2,477,184` */
export const formatCount = (value: number): string => String(value).replaceAll(/\B(?=(\d{3})+$)/g, ',');

/** A share as a percentage with a fixed number of decimals: `70.00 %`. */
export const formatPercent = (share: number, decimals = 2): string =>
  `${(100 * share).toFixed(decimals)}${NARROW_SPACE}%`;

/** A share that somebody chose: `70 %`, `62.5 %`. */
export const formatTarget = (share: number): string => `${Number((100 * share).toFixed(2))}${NARROW_SPACE}%`;

/** Three decimals below 10, two below 1000, one below a million, then powers of ten. */
export function formatPerplexity(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '–';
  if (value >= 1e6) return value.toExponential(2).replace('e+', ' · 10^');
  return value.toFixed(value < 10 ? 3 : value < 1000 ? 2 : 1);
}

/**
 * Ratios that belong together, with as many decimals, three at least, as it takes that none is shown as 1 that is not:
 * a bound of 0.9996 beside the word "better" must not read 1.000.
 */
export function formatRatios(ratios: readonly number[]): string[] {
  let decimals = 3;
  const hides = (ratio: number): boolean => ratio !== 1 && Number(ratio.toFixed(decimals)) === 1;
  while (decimals < 6 && ratios.some(hides)) decimals++;
  return ratios.map((ratio) => (ratio >= 1e4 ? ratio.toExponential(2) : ratio.toFixed(decimals)));
}

/** `0.966 [0.962, 0.970]`, the interval on a line of its own where space is short. */
export function formatEstimate(ratio: number, interval: readonly [number, number]): Html {
  const [middle, low, high] = formatRatios([ratio, ...interval]);
  return `${middle} <span class="interval">[${low}, ${high}]</span>`;
}

export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? Math.round(value) : value.toPrecision(3)} ${units[unit]}`;
}
