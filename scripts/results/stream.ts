// npm run results:stream: what decides whether following the dense stream helps, on one checkpoint: the shares α and γ, all
// sites of a block at once or one after another, the weight of a token, the number of calibration windows. Uniform plans. Each
// line is one run of the block-by-block loop, scored on validation text; the table goes to stdout as markdown.
//   npm run results:stream -- <checkpoint> --calibration … --validation … [--criteria sparsegpt] [--rates 0.5,0.7]
// What was measured is kept in --out as JSON, one file per line, and is not measured again.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { withResources } from '#src/base';
import { summarise } from '#src/evaluate';
import { linearUnits, openModel } from '#src/model';
import { findCriterion, formatPattern, parsePattern } from '#src/operators';
import { pruneSequentially, runDense, type StreamTarget } from '#src/pipeline';
import { realisePlan } from '#src/plan';
import { openEngine, prepareTexts } from '#src/runs';
import { embedText } from '#src/stream';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    calibration: { type: 'string' },
    validation: { type: 'string' },
    out: { type: 'string' },
    criteria: { type: 'string', default: 'sparsegpt' },
    rates: { type: 'string', default: '0.5,0.7' },
    pattern: { type: 'string' },
    samples: { type: 'string', default: '128' },
    length: { type: 'string' },
    windows: { type: 'string', default: '64' },
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

type Line = {
  readonly perplexity: number;
  readonly nll: readonly number[];
  readonly errors: readonly number[];
  readonly seconds: number;
};

await withResources(async (own) => {
  const model = await openModel(checkpoint);
  const texts = await prepareTexts(
    {
      calibration,
      validation,
      test: undefined,
      calibrationSamples: Number(values.samples),
      calibrationOrder: 'sequential',
      sequenceLength: values.length === undefined ? undefined : Number(values.length),
      windowStart: undefined,
      seed: 0,
      onProgress: () => {},
    },
    model,
  );
  const engine = await own(openEngine(model, { device: 'cpu', threads: 2, onProgress: () => {} }));
  const held = texts.validation!.windows;
  const first = { ...texts.validation!, windows: { ...held, windows: held.windows.slice(0, Number(values.windows)) } };
  const text = await embedText(own, model, first);
  const measured = await embedText(own, model, texts.calibration!);
  const dense = await runDense(engine, model, text, undefined, () => {});
  if (dense.trace) await own(dense.trace.store);
  const { length } = first.windows;
  mkdirSync(out, { recursive: true });
  const lineOf = async (criterion: string, rate: number, name: string): Promise<Line> => {
    const path = join(out, `${criterion}-${rate}-${name.replaceAll(/[^\w½]+/g, '-')}.json`);
    if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as Line;
    const operator = findCriterion(criterion);
    const pattern = parsePattern(values.pattern ?? operator.patterns[0]!);
    const units = Object.fromEntries(linearUnits(model).map(({ id }) => [id, { zeros: { rate } }]));
    const plan = realisePlan({ format: 'layerwise-plan', version: 2, units }, linearUnits(model), {
      counting: 'exact',
      pattern: formatPattern(pattern),
      of: pattern.kind === 'n:m' ? pattern.of : undefined,
    });
    const dir = join(out, 'blocks');
    rmSync(dir, { recursive: true, force: true });
    const began = performance.now();
    const target = WAYS[name];
    const { nll, errors } = await pruneSequentially({
      ...{ engine, model, operator, plan, calibration: measured, validation: text, trace: dense.trace, target, dir },
      onProgress: () => {},
    });
    rmSync(dir, { recursive: true, force: true });
    const { perplexity } = summarise(nll, length);
    const line = { perplexity, nll, errors, seconds: (performance.now() - began) / 1000 };
    writeFileSync(path, JSON.stringify(line));
    console.error(`${criterion} ${rate} ${name}: ${perplexity.toFixed(2)}, ${line.seconds.toFixed(0)} s`);
    return line;
  };
  const rates = values.rates.split(',').map(Number);
  const criteria = values.criteria.split(',');
  const names = values.only ? values.only.split(';') : Object.keys(WAYS);
  const cells = criteria.flatMap((criterion) => rates.map((rate) => [criterion, rate] as const));
  const rows: string[] = [];
  for (const name of names) {
    const line: string[] = [];
    for (const [criterion, rate] of cells) {
      const { perplexity, errors, seconds } = await lineOf(criterion, rate, name);
      line.push(`${perplexity.toFixed(2)} (${errors.at(-1)!.toFixed(3)}; ${seconds.toFixed(0)} s)`);
    }
    rows.push(`| ${[name, ...line].join(' | ')} |`);
  }
  const head = cells.map(([criterion, rate]) => `${criterion} ${100 * rate} %`);
  const alone = summarise(dense.nll, length).perplexity.toFixed(2);
  console.log(
    `Dense ${alone}; ${measured.windows.windows.length} calibration windows of ${length}, ${first.windows.windows.length} validation windows.\n`,
  );
  console.log([`| α, γ | ${head.join(' | ')} |`, `| --- | ${head.map(() => '---').join(' | ')} |`, ...rows].join('\n'));
});
