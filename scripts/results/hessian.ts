// npm run results:hessian: whether Gram matrices that know the loss (--hessian loss) make better models than those of a linear's
// output, on one checkpoint: SparseGPT and GPTQ, uniform plans. Each cell is one run of the block-by-block loop, scored on
// validation text; the table goes to stdout as markdown, with the paired 95 % interval of the perplexity ratio loss / output.
//   npm run results:hessian -- <checkpoint> --calibration … --validation … --out <dir> [--rates 0.5,0.7] [--bits 3,2]
// What was measured is kept in --out as JSON, one file per cell, and is not measured again.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { withResources } from '#src/base';
import { summarise } from '#src/evaluate';
import { linearUnits, openModel } from '#src/model';
import { findOperator, formatPattern, parsePattern } from '#src/operators';
import { pruneSequentially, runDense, type StreamTarget } from '#src/pipeline';
import { realisePlan } from '#src/plan';
import { measureImportance } from '#src/profile';
import { pairedInterval, type Treatment } from '#src/records';
import { DEFAULT_SHARES, openEngine, prepareTexts } from '#src/runs';
import { embedText } from '#src/stream';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    calibration: { type: 'string' },
    validation: { type: 'string' },
    out: { type: 'string' },
    rates: { type: 'string', default: '0.5,0.7' },
    bits: { type: 'string', default: '3,2' },
    group: { type: 'string', default: '128' },
    targets: { type: 'string', default: 'own' },
    samples: { type: 'string', default: '128' },
    length: { type: 'string' },
    windows: { type: 'string', default: '64' },
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
type Line = { readonly nll: readonly number[]; readonly errors: readonly number[]; readonly seconds: number };

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
  const model = await openModel(checkpoint);
  const texts = await prepareTexts(
    {
      ...{ calibration, validation, test: undefined, calibrationSamples: Number(values.samples) },
      ...{ calibrationOrder: 'sequential', windowStart: undefined, seed: 0, onProgress: () => {} },
      sequenceLength: values.length === undefined ? undefined : Number(values.length),
    },
    model,
  );
  const engine = await own(openEngine(model, { device: 'cpu', threads: 2, onProgress: () => {} }));
  const held = texts.validation!.windows;
  const first = { ...texts.validation!, windows: { ...held, windows: held.windows.slice(0, Number(values.windows)) } };
  const text = await embedText(own, model, first);
  const output = await embedText(own, model, texts.calibration!);
  const dense = await runDense(engine, model, text, undefined, () => {});
  if (dense.trace) await own(dense.trace.store);
  const { length } = first.windows;
  mkdirSync(out, { recursive: true });
  const began = performance.now();
  const loss = { ...output, importance: await measureImportance(own, engine, model, output, () => {}) };
  console.error(`gradients: ${((performance.now() - began) / 1000).toFixed(0)} s`);

  const lineOf = async ({ name, operator: named, treatment }: Cell, hessian: string, target: string): Promise<Line> => {
    const path = join(out, `${name.replaceAll(/\W+/g, '-')}-${hessian}-${target}.json`);
    if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as Line;
    const operator = findOperator(named);
    const pattern = parsePattern(operator.patterns[0]!);
    const units = Object.fromEntries(linearUnits(model).map(({ id }) => [id, treatment]));
    const how = { counting: 'exact', pattern: formatPattern(pattern), of: undefined } as const;
    const plan = realisePlan({ format: 'layerwise-plan', version: 2, units }, linearUnits(model), how);
    const dir = join(out, 'blocks');
    rmSync(dir, { recursive: true, force: true });
    const started = performance.now();
    const shares: StreamTarget | undefined = target === 'stream' ? DEFAULT_SHARES : undefined;
    const { nll, errors } = await pruneSequentially({
      ...{ engine, model, operator, plan, calibration: hessian === 'loss' ? loss : output, validation: text },
      ...{ trace: dense.trace, target: shares, dir, onProgress: () => {} },
    });
    rmSync(dir, { recursive: true, force: true });
    const line = { nll, errors, seconds: (performance.now() - started) / 1000 };
    writeFileSync(path, JSON.stringify(line));
    console.error(`${name} ${hessian} ${target}: ${summarise(nll, length).perplexity.toFixed(2)}`);
    return line;
  };

  const rows: string[][] = [];
  for (const target of values.targets.split(',')) {
    for (const cell of cells) {
      const [plain, knowing] = [await lineOf(cell, 'output', target), await lineOf(cell, 'loss', target)];
      const [low, high] = pairedInterval(knowing.nll, plain.nll);
      const perplexity = ({ nll }: Line): string => summarise(nll, length).perplexity.toFixed(2);
      const error = ({ errors }: Line): string => errors.at(-1)!.toFixed(3);
      rows.push([
        ...[cell.name, target, perplexity(plain), perplexity(knowing), `${low.toFixed(3)} … ${high.toFixed(3)}`],
        ...[error(plain), error(knowing)],
      ]);
    }
  }
  const head = ['', 'target', 'output', 'loss', 'ratio (95 %)', 'error, output', 'error, loss'];
  const alone = summarise(dense.nll, length).perplexity.toFixed(2);
  console.log(
    `Dense ${alone}; ${output.windows.windows.length} calibration windows of ${length}, ${first.windows.windows.length} validation windows. Error: of the last block's output, relative.\n`,
  );
  console.log([head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n'));
});
