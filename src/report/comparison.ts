// compare.html from the record of a comparison: for each target a table of all policies, their rates, and their errors on
// one axis; for all targets together, perplexity against sparsity.

import {
  drawLines,
  escapeHtml,
  figure,
  formatPercent,
  formatRatios,
  formatTarget,
  type Html,
  keyOfLines,
  note,
  page,
  section,
  table,
} from '../page/index.js';
import type { Comparison, ComparisonRow, Evaluation } from '../records/index.js';
import { describeValues, formatLoss, wordsOfLoss } from '../words/index.js';
import { fidelityTable } from './fidelity.js';
import { taskTable } from './tasks.js';

/** One self-contained HTML document. Equal records give equal bytes. */
export function renderComparison(comparison: Comparison): string {
  const { source, rows, tool } = comparison;
  const targets = [...new Set(rows.map(({ sparsity }) => sparsity.target))];
  const first = rows[0];
  const made = first ? `${escapeHtml(first.criterion)}, weights compete by ${escapeHtml(first.pattern)} · ` : '';
  const name = escapeHtml(source.name);
  return page(`${name}: allocations compared`, tool.version, [
    `<header>\n<h1>${name} <span class="target">allocations compared</span></h1>
<p class="made">${made}${source.blocks} blocks, ${escapeHtml(source.family)}, seed ${comparison.seed}</p>\n</header>`,
    overviewSection(comparison, targets),
    ...targets.map((target) => targetSection(comparison, target)),
  ]);
}

const scored = ({ validation, test }: ComparisonRow): Evaluation => test ?? validation;
const score = (row: ComparisonRow): number => scored(row).perplexity;

function overviewSection({ rows, dense }: Comparison, targets: readonly number[]): Html {
  if (targets.length < 2) return '';
  const words = wordsOfLoss(dense.validation);
  const names = [...new Set(rows.map(({ allocation }) => allocation))];
  const cell = (name: string, target: number): ComparisonRow | undefined =>
    rows.find(({ allocation, sparsity }) => allocation === name && sparsity.target === target);
  // Logarithmic, because one collapsed policy would flatten all the others.
  const lines = names.map((name) => targets.map((target) => Math.log10(score(cell(name, target)!))));
  const numbers = table(
    `${words.title} of each policy at each target`,
    ['', ...targets.map(formatTarget)],
    names.map((name) => ({
      head: escapeHtml(name),
      cells: targets.map((target) => words.format(scored(cell(name, target)!))),
    })),
  );
  const on = dense.test ? 'Test' : 'Validation';
  const denseScore = words.format(dense.test ?? dense.validation);
  const picture = drawLines(
    lines,
    { name: 'sparsity', labels: targets.map((target) => `${Number((100 * target).toFixed(2))} %`) },
    (value) => words.format({ ...dense.validation, perplexity: 10 ** value }),
    `${words.title} of each policy against sparsity`,
  );
  const caption = `${on} ${words.name}${words.compared === 'ratio' ? ', logarithmic' : ''}; the dense model has ${denseScore}.`;
  return section(
    'overview',
    `${words.title} against sparsity`,
    figure(keyOfLines(names.map(escapeHtml)), picture, caption, numbers),
  );
}

function targetSection({ rows, dense, tasks }: Comparison, target: number): Html {
  const here = rows.filter(({ sparsity }) => sparsity.target === target);
  const interval = (pair: readonly [number, number] | null): Html =>
    pair ? `[${formatRatios(pair).join(', ')}]` : '–';
  const tested = here.some(({ test }) => test);
  const best = Math.min(...here.map(score));
  const columns = ['', 'validation', ...(tested ? ['test'] : []), 'over uniform', 'over ATP', 'trials', 'zeros', ''];
  const body = here.map((row) => ({
    head: escapeHtml(row.allocation),
    chosen: score(row) === best,
    cells: [
      formatLoss(row.validation),
      ...(tested ? [formatLoss(row.test)] : []),
      interval(row.versusUniform),
      interval(row.versusAtp),
      row.equivalents.toFixed(1),
      formatPercent(row.sparsity.realised, 3),
      escapeHtml(describeValues(row.hyperparameters)),
    ],
  }));
  const denseRow = {
    head: 'dense',
    cells: [formatLoss(dense.validation), ...(tested ? [formatLoss(dense.test)] : []), ...['', '', '', '', '']],
  };
  const names = keyOfLines(here.map(({ allocation }) => escapeHtml(allocation)));
  const blocks = { name: 'block', labels: here[0]!.rates.map((_, i) => String(i)) };
  const perBlock = (
    label: string,
    values: (row: ComparisonRow) => readonly number[],
    format: (x: number) => string,
  ): Html =>
    table(
      label,
      ['', ...here.map(({ allocation }) => escapeHtml(allocation))],
      blocks.labels.map((block, i) => ({ head: `block ${block}`, cells: here.map((row) => format(values(row)[i]!)) })),
    );
  const percent = (share: number): string => formatPercent(share, 1);
  const rates = figure(
    names,
    drawLines(
      here.map((row) => row.rates),
      blocks,
      percent,
      `Sparsity of each block, ${here.length} policies`,
    ),
    'Sparsity of each block; a policy per linear is shown by its blocks’ means.',
    perBlock('Sparsity of each block', (row) => row.rates, percent),
  );
  const errors = figure(
    names,
    drawLines(
      here.map((row) => row.errors),
      blocks,
      (x) => x.toFixed(2),
      `Relative reconstruction error of each block, ${here.length} policies`,
    ),
    'Relative reconstruction error ‖X − X̃‖ / ‖X‖ of each block’s output, on the first validation windows.',
    perBlock(
      'Error of each block',
      (row) => row.errors,
      (x) => x.toFixed(4),
    ),
  );
  return section(
    `at-${String(target).replaceAll('.', '-')}`,
    `At ${formatTarget(target)}`,
    table(`Policies at ${formatTarget(target)}`, columns, [denseRow, ...body]),
    note(
      `Lower is better. Intervals are of the ratio of ${wordsOfLoss(dense.validation).compared === 'ratio' ? 'perplexities' : 'exp of the losses'}, paired over the ${tested ? 'test' : 'validation'} windows, 95 %: one that holds 1 is a tie. Trials count everything a search cost, in trials besides uniform; the published grid of ATP makes nine. Validation text chose; test text was scored once per row.`,
    ),
    fidelityTable(
      here.map((row) => ({ name: escapeHtml(row.allocation), fidelity: row.fidelity, chosen: score(row) === best })),
    ),
    here.some(({ fidelity }) => fidelity)
      ? note(
          `Distance to the dense model on the ${tested ? 'test' : 'validation'} windows: KL(dense ‖ pruned) of the next token’s distribution in nats, and the share of tokens with the same likeliest token.`,
        )
      : '',
    tasks
      ? taskTable(tasks, [
          { name: 'dense', scores: dense.tasks },
          ...here.map((row) => ({ name: escapeHtml(row.allocation), scores: row.tasks })),
        ])
      : '',
    `<div class="panels">\n<div>${rates}</div>\n<div>${errors}</div>\n</div>`,
  );
}
