// The texts a run used; its numbers depend on them.

import type { Manifest, ManifestText } from '../../records/index.js';
import { formatCount } from '../../words/index.js';
import { escapeHtml, type Html, type Row, section, table } from '../html.js';

export const textSection = ({ texts }: Manifest): Html => section('texts', 'Texts', textsTable(texts));

/** The texts by their use; empty where there are none. */
export function textsTable(texts: Readonly<Record<string, ManifestText | null>>): Html {
  const rows = Object.entries(texts).flatMap(([use, text]): Row[] => (text ? [rowOf(use, text)] : []));
  if (rows.length === 0) return '';
  const columns = ['', 'file', 'tokens', 'windows', 'length', 'begins with', 'order', 'SHA-256'];
  return table('Texts', columns, rows);
}

const rowOf = (use: string, text: ManifestText): Row => ({
  head: use,
  cells: [
    escapeHtml(text.name),
    formatCount(text.tokens),
    formatCount(text.windows),
    formatCount(text.length),
    text.bos === null ? '' : `BOS (${text.bos})`,
    text.order,
    `<code>${escapeHtml(text.hash.slice(0, 12))}</code>`,
  ],
});
