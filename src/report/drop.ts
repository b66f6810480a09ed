// report.html of a removal of blocks, from its record: what it cost, which blocks went, how far it is from the dense model, and the
// greedy text that parts first.

import { escapeHtml, formatPercent, type Html, list, note, page, type Row, section, table } from '../page/index.js';
import type { DropRecord } from '../records/index.js';
import { formatCount, formatPerplexity } from '../words/index.js';
import { distanceSection } from './sections/fidelity.js';
import { textsTable } from './sections/origin.js';

/** One self-contained HTML document. Equal records give equal bytes. */
export function renderRemoval(record: DropRecord): string {
  const { source, tool, blocks, parameters, fidelity } = record;
  const name = escapeHtml(source.name);
  const left = formatPercent(parameters.after / parameters.before, 1);
  return page(`${name}: ${blocks.after} of ${blocks.before} blocks`, tool.version, [
    `<header>\n<h1>${name} <span class="target">${blocks.after} of ${blocks.before} blocks</span></h1>
<p class="made">chosen by ${escapeHtml(record.method)}${wayOf(record)} · ${formatCount(parameters.after)} parameters, ${left}</p>\n</header>`,
    scoreSection(record),
    fidelity ? distanceSection([{ name: 'smaller', fidelity, chosen: true }], fidelity, 'smaller') : '',
    blockSection(record),
    section('texts', 'Texts', textsTable(record.texts)),
    section(
      'origin',
      'How it was made',
      list([
        ['seed', String(record.seed)],
        ['device', escapeHtml(tool.device)],
      ]),
    ),
  ]);
}

function wayOf({ repair }: DropRecord): string {
  if (!repair) return '';
  const { merge, method, shares } = repair;
  const fit = { own: '', linear: 'fitted to the dense stream', stream: 'followed by the blocks behind' }[method];
  const how = shares ? ` (α ${shares.alpha}, γ ${shares.gamma})` : '';
  return `, ${[merge ? 'merged' : '', fit + how].filter((part) => part !== '').join(', ')}`;
}

function scoreSection({ dense, dropped, repair, fidelity }: DropRecord): Html {
  const row = (head: string, { validation, test }: typeof dense): Row => ({
    head,
    cells: [formatPerplexity(validation), formatPerplexity(test)],
    chosen: head === 'written',
  });
  const rows = [
    row('dense', dense),
    ...(repair ? [row('removed alone', repair.unrepaired)] : []),
    row('written', dropped),
  ];
  return section(
    'scores',
    'What it cost',
    table('Perplexity', ['', 'validation', 'test'], rows),
    note(
      `Multiple choice hardly sees what a removal of blocks does to free text${fidelity ? '; the distance below does' : ''}.`,
    ),
  );
}

function blockSection({ scores, removed, repair }: DropRecord): Html {
  const takes = new Map(repair?.seams.map(({ block, gap }) => [block, gap]));
  const followed = new Set(repair?.followed?.map(({ block }) => block));
  const did = (block: number): string => {
    if (removed.includes(block)) return 'removed';
    const gap = takes.get(block);
    if (gap) return `${repair!.merge ? 'merged with' : 'stands in for'} ${gap.join(', ')}`;
    return followed.has(block) ? 'follows the dense stream' : '';
  };
  const rows = scores.map(
    (score, block): Row => ({
      head: `block ${block}`,
      cells: [score === null ? '–' : score.toPrecision(5), did(block)],
      chosen: removed.includes(block),
    }),
  );
  return section('blocks', 'Blocks', table('Blocks of the source', ['', 'score', ''], rows));
}
