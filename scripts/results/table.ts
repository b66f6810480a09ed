// The tables of docs/results.md from the records of comparisons:
//   npm run build:scripts && node build/scripts/results/table.js <compare.json> …

import { readFileSync } from 'node:fs';
import { comparisonSchema } from 'layerwise/records';

for (const path of process.argv.slice(2)) {
  const { rows, dense } = comparisonSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  const score = (value: number | undefined): string => (value === undefined ? '–' : value.toFixed(value < 10 ? 3 : 2));
  const interval = (pair: readonly [number, number] | null): string =>
    pair ? `${pair[0].toFixed(3)} … ${pair[1].toFixed(3)}` : '';
  console.log(
    `\n${rows[0]!.criterion}; dense: validation ${score(dense.validation.perplexity)}, test ${score(dense.test?.perplexity)}\n`,
  );
  console.log('| target | policy | validation | test | over uniform (95 %) | over atp (95 %) | trials | chosen |');
  console.log('|---|---|---|---|---|---|---|---|');
  for (const row of rows) {
    const values = Object.entries(row.hyperparameters).map(
      ([name, value]) => `${name} ${Number(value.toPrecision(4))}`,
    );
    const cells = [
      `${Number((100 * row.sparsity.target).toPrecision(4))} %`,
      row.allocation,
      score(row.validation.perplexity),
      score(row.test?.perplexity),
      interval(row.versusUniform),
      interval(row.versusAtp),
      row.equivalents.toFixed(1),
      values.join(', '),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}
