import { join } from 'node:path';
import { compare } from '../../jobs/index.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { formatPercent, formatPerplexity, formatSeconds, formatTable } from '../format.js';
import { PRUNING_OPTIONS, parseList } from '../options.js';

export const compareCommand = defineCommand({
  name: 'compare',
  summary: 'Allocation policies on equal terms: one table, one picture',
  argument: CHECKPOINT,
  options: ['sparsities', 'allocations', ...PRUNING_OPTIONS],
  required: ['sparsities', 'validation', 'out'],
  details:
    'One dense pass, shared windows, the same budget of trials for every policy that has numbers to find. Writes `compare.json`, every cell a record, and `compare.html`; no checkpoint. An interrupted comparison continues with --resume.',
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
  run: async (checkpoint, { sparsities, allocations, validation, out, ...options }, onProgress) => {
    const names = allocations === undefined || allocations === 'all' ? {} : { allocations: allocations.split(',') };
    const { comparison, rowSeconds, seconds } = await compare({
      checkpoint,
      sparsities: parseList('--sparsity', sparsities!),
      ...names,
      ...options,
      validation: validation!,
      out: out!,
      onProgress,
    });
    const { dense, rows } = comparison;
    const json = {
      dense: { validation: dense.validation.perplexity, test: dense.test?.perplexity ?? null },
      rows: rows.map(({ errors: _, ...row }, i) => ({
        ...row,
        validation: row.validation.perplexity,
        test: row.test?.perplexity ?? null,
        seconds: rowSeconds[i],
      })),
      seconds,
      out: out!,
    };
    const interval = (pair: readonly [number, number] | null): string =>
      pair ? `${pair[0].toFixed(3)} … ${pair[1].toFixed(3)}` : '–';
    const lines = rows.map((row) => [
      `${row.allocation} at ${formatPercent(row.sparsity.target, 0)}`,
      formatPerplexity(row.validation.perplexity),
      formatPerplexity(row.test?.perplexity),
      interval(row.versusUniform),
      interval(row.versusAtp),
      row.equivalents.toFixed(1),
    ]);
    const head = ['', 'validation', 'test', 'over uniform (95 %)', 'over atp (95 %)', 'trials'];
    const denseLine = [
      'dense',
      formatPerplexity(dense.validation.perplexity),
      formatPerplexity(dense.test?.perplexity),
    ];
    const text = `${formatTable([head, denseLine, ...lines])}\n\n${formatSeconds(seconds)}\nreport  ${join(out!, 'compare.html')}`;
    return { json, text };
  },
});
