// What npm run results writes into the documents: only what lies between the markers, and numbers of the records.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { replaceBetween } from '../scripts/results/markers.js';
import { comparisonTables, dropTable, patternTable } from '../scripts/results/tables.js';
import { type Comparison, type ComparisonRow, type DropRecord, pairedInterval } from '../src/records/index.js';

test('only what lies between the markers is replaced, and again gives the same', () => {
  const text = 'before\n<!-- a -->\n\nold\n\n<!-- /a -->\nafter\n';
  const once = replaceBetween(text, 'a', '| new |');
  expect(once).toBe('before\n<!-- a -->\n\n| new |\n\n<!-- /a -->\nafter\n');
  expect(replaceBetween(once, 'a', '| new |')).toBe(once);
  expect(() => replaceBetween(text, 'b', '')).toThrowError('<!-- b -->');
});

test.each([
  ['results.md', 'results: novels-2m'],
  ['results.md', 'results: demo'],
  ['theory.md', 'growth: novels-2m'],
  ['theory.md', 'growth: demo'],
])('%s has the markers of %s', (document, name) => {
  const text = readFileSync(fileURLToPath(new URL(`../docs/lab/${document}`, import.meta.url)), 'utf8');
  expect(replaceBetween(text, name, 'X')).toContain('X');
});

const evaluation = (perplexity: number) => ({
  perplexity,
  windows: 2,
  tokens: 10,
  nll: [Math.log(perplexity) - 0.1, Math.log(perplexity) + 0.1],
});

function row(
  allocation: string,
  target: number,
  perplexity: number,
  change: Partial<ComparisonRow> = {},
): ComparisonRow {
  return {
    allocation,
    criterion: 'wanda',
    pattern: 'row',
    hyperparameters: {},
    rates: [target],
    sparsity: { target, realised: target },
    validation: evaluation(perplexity - 1),
    test: evaluation(perplexity),
    errors: [0.1],
    versusUniform: null,
    versusAtp: null,
    trials: 0,
    equivalents: 0,
    ...change,
  };
}

function comparison(rows: readonly ComparisonRow[]): Comparison {
  const text = { name: 'text', hash: '', tokens: 10, windows: 2, length: 5, order: 'all' as const, bos: null };
  return {
    format: 'layerwise-comparison',
    version: 1,
    tool: { version: '0', engine: 'ort', device: 'cpu' },
    source: { name: 'model', family: 'llama', blocks: 1, hashes: {} },
    texts: { calibration: text, validation: text, test: text },
    seed: 0,
    dense: { validation: evaluation(10), test: evaluation(11) },
    rows: [...rows],
  };
}

test('a comparison: test perplexities, the best in bold; intervals over atp; what was searched', () => {
  const searched = {
    hyperparameters: { line: 0.25, gain: 0.5 },
    equivalents: 7.25,
    versusAtp: [0.9, 0.95] as [number, number],
  };
  const tables = comparisonTables(
    comparison([
      row('uniform', 0.5, 30),
      row('atp', 0.5, 25),
      row('layerwise', 0.5, 20.5, searched),
      row('uniform', 0.7, 50),
      row('atp', 0.7, 40),
      row('layerwise', 0.7, 45, searched),
    ]),
  );
  expect(tables).toContain('| layerwise | **20.50** | 45.00 |');
  expect(tables).toContain('| atp | 25.00 | **40.00** |');
  expect(tables).toContain('| layerwise | 0.900 … 0.950 | 0.900 … 0.950 |');
  expect(tables).toContain('| 70 % | layerwise | 44.00 | line 0.25, gain 0.5 | 7.3 |');
  expect(tables).not.toContain('| atp | 0.');
});

test('patterns: N of M kept at the target, intervals over the first pattern’s same policy', () => {
  const at = (pattern: string, perplexity: number) =>
    comparison(['uniform', 'atp'].map((policy) => row(policy, 0.5, perplexity, { pattern })));
  const [low, high] = pairedInterval(evaluation(24).nll, evaluation(20).nll).map((value) => value.toFixed(3));
  const table = patternTable([at('row', 20), at('n:16', 24), at('n:4', 40)]);
  expect(table).toContain('| row | 20.00 |  | 20.00 |  |');
  expect(table).toContain(`| 8:16 | 24.00 | ${low} … ${high} | 24.00 | ${low} … ${high} |`);
  expect(table).toContain('| 2:4 | 40.00 |');
});

test('removals: a line for each method, and the dense model', () => {
  const record = (method: string, removed: number[], test: number): DropRecord => ({
    format: 'layerwise-drop',
    version: 1,
    tool: { version: '0', device: 'cpu' },
    source: { name: 'model', hashes: {} },
    seed: 0,
    texts: { calibration: null, validation: null, test: null },
    method,
    removed,
    scores: [],
    blocks: { before: 6, after: 6 - removed.length },
    parameters: { before: 6, after: 5 },
    dense: { validation: 10, test: 11 },
    dropped: { validation: 12, test },
  });
  const table = dropTable([record('perplexity', [1, 4], 13), record('angular', [1, 2, 3, 4], 14)]);
  expect(table).toContain('| dense | – | 10.00 | 11.00 | – | 10.00 | 11.00 |');
  expect(table).toContain('| perplexity | 1, 4 | 12.00 | 13.00 | – | – | – |');
  expect(table).toContain('| angular | – | – | – | 1, 2, 3, 4 | 12.00 | 14.00 |');
});
