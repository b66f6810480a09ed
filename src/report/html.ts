// Building blocks of the page. Everything that comes from a record goes through `escapeHtml`.

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export const escapeHtml = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character]!);

/** A table in a box of its own that scrolls sideways where the screen is narrow. Cells are HTML. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[], tag: string): string => row.map((cell) => `<${tag}>${cell}</${tag}>`).join('');
  const body = rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('');
  return `<div class="scroll"><table><thead><tr>${cells(head, 'th')}</tr></thead><tbody>${body}</tbody></table></div>`;
}

export const section = (title: string, ...parts: readonly string[]): string =>
  `<section><h2>${title}</h2>${parts.join('\n')}</section>`;

/** A chart with its caption, and its numbers as a table for those who read rather than look. */
export const figure = (svg: string, caption: string, data: string): string =>
  `<figure>${svg}<figcaption>${caption}</figcaption><details><summary>The numbers</summary>${data}</details></figure>`;

export function formatPerplexity(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return value < 1000 ? value.toFixed(value < 100 ? 3 : 2) : value < 1e6 ? value.toFixed(1) : value.toExponential(2);
}

export const formatPercent = (share: number, digits = 2): string => `${(100 * share).toFixed(digits)}\u00a0%`;

export const formatInteger = (value: number): string => value.toLocaleString('en');

/** A hyperparameter: four significant digits, no trailing zeros. */
export const formatNumber = (value: number): string => String(Number(value.toPrecision(4)));

export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? value : value.toPrecision(3)}\u00a0${units[unit]}`;
}
