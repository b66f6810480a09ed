// npm run results:stream: how much following the dense stream helps on one checkpoint, by the shares α and γ, and by the number of
// calibration windows. Uniform plans; the table goes to stdout as markdown.
//   npm run results:stream -- <checkpoint> --calibration … --validation … [--criteria sparsegpt] [--rates 0.5,0.7]

import { parseArgs } from 'node:util';
import { withResources } from '#src/base';
import type { StreamTarget } from '#src/pipeline';
import { LINE_OPTIONS, markdown, openLines } from './lines.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ...LINE_OPTIONS,
    criteria: { type: 'string', default: 'sparsegpt' },
    rates: { type: 'string', default: '0.5,0.7' },
    pattern: { type: 'string' },
    only: { type: 'string' },
  },
});
const [checkpoint] = positionals;
const { calibration, validation, out } = values;
if (!checkpoint || !calibration || !validation || !out) {
  throw new Error('usage: npm run results:stream -- <checkpoint> --calibration <text> --validation <text> --out <dir>');
}

const WAYS: Readonly<Record<string, StreamTarget | undefined>> = {
  own: undefined,
  '½, 0': { alpha: 0.5, gamma: 0 },
  '½, ½': { alpha: 0.5, gamma: 0.5 },
  '1, 0': { alpha: 1, gamma: 0 },
  '1, ½': { alpha: 1, gamma: 0.5 },
  '½, 1': { alpha: 0.5, gamma: 1 },
  '1, 1': { alpha: 1, gamma: 1 },
};

await withResources(async (own) => {
  const { samples, length, windows, pattern } = values;
  const options = { checkpoint, calibration, validation, out, samples, length, windows };
  const { title, lineOf, perplexityOf } = await openLines(own, options);
  const cells = values.criteria
    .split(',')
    .flatMap((criterion) => values.rates.split(',').map((rate) => ({ criterion, rate: Number(rate) })));
  const rows = [['α, γ', ...cells.map(({ criterion, rate }) => `${criterion} ${100 * rate} %`)]];
  for (const name of values.only ? values.only.split(';') : Object.keys(WAYS)) {
    const row = [name];
    for (const { criterion, rate } of cells) {
      const line = await lineOf({
        key: `${criterion}-${rate}-${name.replaceAll(/[^\w½]+/g, '-')}`,
        ...{ operator: criterion, treatment: { zeros: { rate } }, pattern, target: WAYS[name] },
      });
      row.push(`${perplexityOf(line).toFixed(2)} (${line.errors.at(-1)!.toFixed(3)}; ${line.seconds.toFixed(0)} s)`);
    }
    rows.push(row);
  }
  console.log(`${title}\n`);
  console.log(markdown(rows));
});
