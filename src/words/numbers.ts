// Numbers as people read them, in a terminal, a report and a model card. Nothing here depends on the machine's locale:
// equal records give equal bytes.

/** Four significant digits, no trailing zeros: β and other hyperparameters. */
export const formatNumber = (value: number): string => String(Number(value.toPrecision(4)));

/** `2,477,184` */
export const formatCount = (value: number): string => String(value).replaceAll(/\B(?=(\d{3})+$)/g, ',');

/** A share as a percentage with a fixed number of decimals: `70.00 %`. */
export const formatPercent = (share: number, decimals = 2): string => `${(100 * share).toFixed(decimals)} %`;

/** A share that somebody chose: `70 %`, `62.5 %`. */
export const formatTarget = (share: number): string => `${Number((100 * share).toFixed(2))} %`;

/** Three decimals below 1000, one below a million, then powers of ten; – where there is no number. */
export function formatPerplexity(value: number | undefined | null): string {
  if (value === undefined || value === null || Number.isNaN(value)) return '–';
  if (!Number.isFinite(value)) return '∞';
  if (value >= 1e6) return value.toExponential(2).replace('e+', ' · 10^');
  return value.toFixed(value < 1000 ? 3 : 1);
}

/** Nats as in a divergence: three decimals, or three significant digits below 0.1. */
export const formatNats = (value: number): string =>
  value >= 0.1 ? value.toFixed(3) : String(Number(value.toPrecision(3)));

/** An accuracy and its standard error in percent: `62.10` and `± 1.20`, which is empty where there is none. */
export function formatAccuracy(
  estimate: { readonly value: number; readonly stderr: number | null } | undefined | null,
): readonly [value: string, margin: string] {
  if (!estimate) return ['–', ''];
  const { value, stderr } = estimate;
  return [(100 * value).toFixed(2), stderr === null ? '' : `± ${(100 * stderr).toFixed(2)}`];
}

/** `999 B`, `4.95 MB`: decimal units, three significant digits. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? Math.round(value) : value.toPrecision(3)} ${units[unit]}`;
}
