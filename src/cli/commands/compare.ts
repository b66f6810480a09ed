import { join } from 'node:path';
import { compare } from '../../api/index.js';
import type { Comparison, ComparisonRow } from '../../records/index.js';
import { formatLoss, formatPercent } from '../../words/index.js';
import { accuracyJson, accuracyTable } from '../accuracy.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { fidelityJson, fidelityTable } from '../fidelity.js';
import { formatSeconds, formatTable } from '../format.js';
import { parseList, parseQueue, parseShares, parseTasks } from '../option-values.js';
import { HAND_OUT_OPTIONS, PRUNING_OPTIONS } from '../options.js';
import { describeCuts, modelTable } from '../tasks.js';

export const compareCommand = defineCommand({
  name: 'compare',
  summary: 'Allocation policies on equal terms: one table, one picture',
  argument: CHECKPOINT,
  options: ['sparsities', 'allocations', ...PRUNING_OPTIONS, ...HAND_OUT_OPTIONS],
  required: ['sparsities', 'validation', 'out'],
  details:
    'One dense pass, shared windows, and the same budget of trials for every policy with numbers to search. Writes `compare.json` (every cell is a record) and `compare.html`, but no checkpoint. An interrupted comparison continues with --resume.',
  examples: [
    {
      what: 'All policies at two targets',
      command:
        'layerwise compare ./my-model --sparsity 0.5,0.7 --calibration calibration.txt --validation validation.txt --test test.txt --out compared',
    },
    {
      what: 'A few, with SparseGPT, as JSON',
      command:
        'layerwise compare ./my-model --sparsity 0.7 --allocations atp,owl,layerwise --criterion sparsegpt --calibration calibration.txt --validation validation.txt --out compared --json',
    },
  ],
  run: async (
    checkpoint,
    { sparsities, allocations, validation, out, tasks, targetShares, workQueue, ...options },
    onProgress,
  ) => {
    const names = allocations === undefined || allocations === 'all' ? {} : { allocations: allocations.split(',') };
    const { comparison, rowSeconds, seconds } = await compare({
      checkpoint,
      sparsities: parseList('--sparsity', sparsities!),
      ...names,
      ...options,
      ...parseTasks(tasks),
      ...parseShares(targetShares),
      ...parseQueue(workQueue),
      validation: validation!,
      out: out!,
      onProgress,
    });
    const { dense, rows } = comparison;
    const json = {
      dense: {
        validation: dense.validation.perplexity,
        test: dense.test?.perplexity ?? null,
        ...accuracyJson(dense.test),
        ...(dense.tasks ? { tasks: dense.tasks } : {}),
      },
      ...(comparison.tasks ? { tasks: comparison.tasks } : {}),
      rows: rows.map(({ errors: _, fidelity, ...row }, i) => ({
        ...row,
        ...fidelityJson(fidelity),
        validation: row.validation.perplexity,
        test: row.test?.perplexity ?? null,
        ...accuracyJson(row.test),
        seconds: rowSeconds[i],
      })),
      seconds,
      out: out!,
    };
    const interval = (pair: readonly [number, number] | null): string =>
      pair ? `${pair[0].toFixed(3)} … ${pair[1].toFixed(3)}` : '–';
    const lines = rows.map((row) => [
      labelOf(row),
      formatLoss(row.validation),
      formatLoss(row.test),
      interval(row.versusUniform),
      interval(row.versusAtp),
      row.equivalents.toFixed(1),
    ]);
    const head = ['', 'validation', 'test', 'over uniform (95 %)', 'over atp (95 %)', 'trials'];
    const denseLine = ['dense', formatLoss(dense.validation), formatLoss(dense.test)];
    const models = [['dense', dense] as const, ...rows.map((row) => [labelOf(row), row] as const)];
    const text = [
      formatTable([head, denseLine, ...lines]),
      ...imageTable(dense, rows),
      ...['', ...fidelityTable(rows.map((row) => [labelOf(row), row.fidelity]))].slice(0, -1),
      ...(comparison.tasks ? ['', modelTable(comparison.tasks, models), ...describeCuts(comparison.tasks)] : []),
      '',
      formatSeconds(seconds),
      `report  ${join(out!, 'compare.html')}`,
    ].join('\n');
    return { json, text };
  },
});

/** On images, accuracy on the test set. */
const imageTable = (dense: Comparison['dense'], rows: readonly ComparisonRow[]): string[] => {
  const lines = accuracyTable('test', [['dense', dense.test], ...rows.map((row) => [labelOf(row), row.test] as const)]);
  return lines.length > 0 ? ['', ...lines.slice(0, -1)] : [];
};

const labelOf = ({ allocation, sparsity }: ComparisonRow): string =>
  `${allocation} at ${formatPercent(sparsity.target, 0)}`;
