// The table of a frontier, for terminals, Markdown and the page: the same cells everywhere.

import { formatBytes, formatNats, formatPercent, formatPerplexity } from './numbers.js';

type Numbers = {
  readonly name: string;
  readonly skipped: string | null;
  readonly form: {
    readonly bytes: number;
    readonly bitsPerWeight: number;
    readonly perplexity: number;
    readonly ratio: readonly [number, number];
    readonly divergence: number;
    readonly divergenceInterval: readonly [number, number];
    readonly tail: number;
    readonly agreement: number;
    readonly same: readonly [number, number] | null;
    readonly tokensPerSecond: number | null;
    readonly fronts: { readonly bytes: boolean; readonly speed: boolean | null };
  } | null;
};

/** Below this, KL is the rounding of float32. */
const NOTHING = 1e-6;

const formatDivergence = (nats: number): string => (Math.abs(nats) < NOTHING ? '0' : formatNats(nats));

/** Where a model is on a front: `bytes, speed`, or one of the two. */
export const nameFronts = ({ bytes, speed }: { readonly bytes: boolean; readonly speed: boolean | null }): string =>
  [bytes && 'bytes', speed && 'speed'].filter(Boolean).join(', ');

/** The head of the table and its rows, by the numbers of the contenders. A skipped one has its reason in the second cell. */
export function frontierTable(contenders: readonly Numbers[]): readonly (readonly string[])[] {
  const made = contenders.flatMap(({ form }) => (form ? [form] : []));
  const greedy = made.some(({ same }) => same);
  const head = [
    ...['', 'file', 'bits', 'tokens/s', 'on the front of', 'KL (95 %)', 'KL p99.9', 'same top-1'],
    ...['perplexity', 'over dense (95 %)'],
    ...(greedy ? ['first difference'] : []),
  ];
  const rows = contenders.map(({ name, form, skipped }, i) => {
    const label = `${i + 1} ${name}`;
    if (!form) return [label, `skipped: ${skipped}`];
    const [low, high] = form.divergenceInterval.map(formatDivergence);
    return [
      label,
      formatBytes(form.bytes),
      form.bitsPerWeight.toFixed(2),
      form.tokensPerSecond === null ? '–' : formatRate(form.tokensPerSecond),
      nameFronts(form.fronts) || '–',
      `${formatDivergence(form.divergence)} (${low} … ${high})`,
      formatDivergence(form.tail),
      formatPercent(form.agreement, 1),
      formatPerplexity(form.perplexity),
      form.ratio.map((ratio) => (ratio >= 1e4 ? ratio.toExponential(1) : ratio.toFixed(4))).join(' … '),
      ...(greedy ? [form.same ? `${form.same[0].toFixed(1)} of ${form.same[1]}` : '–'] : []),
    ];
  });
  return [head, ...rows];
}

const formatRate = (rate: number): string => (rate < 100 ? rate.toFixed(1) : String(Math.round(rate)));

/** Rows as a table in Markdown, the first column flush left. */
export function markdownTable([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const full = rows.map((row) => [...row, ...head.slice(row.length).map(() => '')]);
  return [line(head), `|${head.map((_, i) => (i === 0 ? ' --- ' : ' ---: ')).join('|')}|`, ...full.map(line)].join(
    '\n',
  );
}
