// How the checkpoint was made, and the command that makes it again.

import type { Manifest } from '../../records/index.js';
import { escapeHtml, type Html, list, section, table } from '../html.js';

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

/** Lines break between options rather than inside one. */
const wrapped = (command: string): Html =>
  command
    .split(/ (?=--)/)
    .map((part) => `<span>${escapeHtml(part)}</span>`)
    .join(' ');
