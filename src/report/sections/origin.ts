// How the checkpoint was made: the texts that its numbers depend on, and the command that makes it again.

import { escapeHtml, type Html, list, type Row, section, table } from '../../page/index.js';
import type { Manifest, ManifestText } from '../../records/index.js';
import { formatCount } from '../../words/index.js';

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

export function originSection({ command, tool, seed, criterion, pattern, plan, source, bits }: Manifest): Html {
  const hashes = Object.entries(source.hashes);
  return section(
    'origin',
    'How it was made',
    `<pre><code>${wrapped(command)}</code></pre>`,
    list([
      ['tool', `layerwise ${escapeHtml(tool.version)}, Node ${escapeHtml(tool.node.replace(/^v/, ''))}`],
      ['engine', `${escapeHtml(tool.engine)}, ${escapeHtml(tool.device)}`],
      [bits ? 'method' : 'criterion', escapeHtml(criterion)],
      ['pattern', pattern && escapeHtml(pattern)],
      ['budget', plan.budget?.counting],
      ['seed', String(seed)],
    ]),
    hashes.length === 0
      ? ''
      : table(
          'Files of the source checkpoint',
          ['source file', 'SHA-256'],
          hashes.map(([file, hash]) => ({ head: escapeHtml(file), cells: [`<code>${escapeHtml(hash)}</code>`] })),
        ),
  );
}

type Made = { readonly command: string; readonly source: Pick<Manifest['source'], 'hashes'> };

/** The same of what is no pruning: one list, the files of the source at its end. */
export const shortOrigin = (
  { command, source }: Made,
  pairs: readonly (readonly [name: string, value: Html])[],
): Html =>
  section(
    'origin',
    'How it was made',
    `<pre><code>${escapeHtml(command)}</code></pre>`,
    list([
      ...pairs,
      ...Object.entries(source.hashes).map(([file, hash]) => [escapeHtml(file), escapeHtml(hash)] as const),
    ]),
  );

/** Lines break between options rather than inside one. */
const wrapped = (command: string): Html =>
  command
    .split(/ (?=--)/)
    .map((part) => `<span>${escapeHtml(part)}</span>`)
    .join(' ');
