// Numbers as the page shows them: what words/ writes, with spaces that do not break before a percent sign, and ratios.

import * as words from '../words/index.js';
import type { Html } from './html.js';

/** A narrow space at which no line ends. */
const unbroken = (text: string): string => text.replace(' ', '\u202f');

/** A share as a percentage with a fixed number of decimals: `70.00 %`. */
export const formatPercent = (share: number, decimals = 2): string => unbroken(words.formatPercent(share, decimals));

/** A share that somebody chose: `70 %`, `62.5 %`. */
export const formatTarget = (share: number): string => unbroken(words.formatTarget(share));

/**
 * Formats ratios that belong together with the same number of decimals: three, or more if a ratio that is not 1 would read
 * as 1. A bound of 0.9996 beside the word "better" must not read 1.000.
 */
export function formatRatios(ratios: readonly number[]): string[] {
  let decimals = 3;
  const hides = (ratio: number): boolean => ratio !== 1 && Number(ratio.toFixed(decimals)) === 1;
  while (decimals < 6 && ratios.some(hides)) decimals++;
  return ratios.map((ratio) => (ratio >= 1e4 ? ratio.toExponential(2) : ratio.toFixed(decimals)));
}

/** What two models' scores make: ratios of perplexities as they are, differences of losses as their logarithms. */
export const formatCompared = (compared: 'ratio' | 'difference', ratios: readonly number[]): string[] =>
  compared === 'ratio' ? formatRatios(ratios) : ratios.map((ratio) => formatSigned(Math.log(ratio)));

const formatSigned = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(4)}`;

/** `0.966 [0.962, 0.970]`; the interval moves to its own line where space is short. */
export function formatEstimate(
  ratio: number,
  interval: readonly [number, number],
  compared: 'ratio' | 'difference' = 'ratio',
): Html {
  const [middle, low, high] = formatCompared(compared, [ratio, ...interval]);
  return `${middle} <span class="interval">[${low}, ${high}]</span>`;
}
