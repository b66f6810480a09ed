// npm run results:hessian: whether Gram matrices that know the loss (--hessian loss) make better models than those of a linear's
// output, on one checkpoint: SparseGPT and GPTQ, uniform plans. The table goes to
// stdout as markdown, with the paired 95 % interval of the perplexity ratio loss / output.
//   npm run results:hessian -- <checkpoint> --calibration … --validation … --out <dir> [--rates 0.5,0.7] [--bits 3,2]

import { parseArgs } from 'node:util';
import { withResources } from '#src/base';
import { measureImportance } from '#src/profile';
import { pairedInterval, type Treatment } from '#src/records';
import { DEFAULT_SHARES } from '#src/runs';
import { LINE_OPTIONS, type Line, markdown, openLines } from './lines.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ...LINE_OPTIONS,
    rates: { type: 'string', default: '0.5,0.7' },
    bits: { type: 'string', default: '3,2' },
    group: { type: 'string', default: '128' },
    targets: { type: 'string', default: 'own' },
  },
});
const [checkpoint] = positionals;
const { calibration, validation, out } = values;
if (!checkpoint || !calibration || !validation || !out) {
  throw new Error(
    'usage: npm run results:hessian -- <checkpoint> --calibration <text> --validation <text> --out <dir>',
  );
}

type Cell = { readonly name: string; readonly operator: string; readonly treatment: Treatment };

const list = (text: string): number[] => (text === '' ? [] : text.split(',').map(Number));
const cells: readonly Cell[] = [
  ...list(values.rates).map((rate) => ({
    ...{ name: `SparseGPT ${Math.round(100 * rate)} %`, operator: 'sparsegpt', treatment: { zeros: { rate } } },
  })),
  ...list(values.bits).map((bits) => ({
    ...{ name: `GPTQ int${bits}`, operator: 'gptq', treatment: { bits: { bits, group: Number(values.group) } } },
  })),
];

await withResources(async (own) => {
  const { samples, length, windows } = values;
  const lines = await openLines(own, { checkpoint, calibration, validation, out, samples, length, windows });
  const { engine, model, title, perplexityOf } = lines;
  const began = performance.now();
  const importance = await measureImportance(own, engine, model, lines.calibration, () => {});
  console.error(`gradients: ${((performance.now() - began) / 1000).toFixed(0)} s`);

  const lineOf = ({ name, ...treated }: Cell, hessian: 'output' | 'loss', target: string): Promise<Line> =>
    lines.lineOf({
      key: `${name.replaceAll(/\W+/g, '-')}-${hessian}-${target}`,
      ...treated,
      target: target === 'stream' ? DEFAULT_SHARES : undefined,
      ...(hessian === 'loss' ? { calibration: { ...lines.calibration, importance } } : {}),
    });

  const rows = [['', 'target', 'output', 'loss', 'ratio (95 %)', 'error, output', 'error, loss']];
  for (const target of values.targets.split(',')) {
    for (const cell of cells) {
      const [plain, knowing] = [await lineOf(cell, 'output', target), await lineOf(cell, 'loss', target)];
      const [low, high] = pairedInterval(knowing.nll, plain.nll);
      const error = ({ errors }: Line): string => errors.at(-1)!.toFixed(3);
      rows.push([
        ...[cell.name, target, perplexityOf(plain).toFixed(2), perplexityOf(knowing).toFixed(2)],
        ...[`${low.toFixed(3)} … ${high.toFixed(3)}`, error(plain), error(knowing)],
      ]);
    }
  }
  console.log(`${title} Error: of the last block's output, relative.\n`);
  console.log(markdown(rows));
});
