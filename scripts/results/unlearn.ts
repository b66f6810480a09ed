// npm run results:unlearn: steers block after block of a checkpoint by both methods, with a goal of a fixed length (RMU) and of β
// times the residual's (Adaptive RMU), and writes the table between the markers of docs/lab/results.md, from the records alone.
// Each trial is a file under --out: what is there is not made again.
//   npm run results:unlearn -- <checkpoint> --name <marker> --forget … --retain … --layers 4,10,16 --out <dir>

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Chosen, chooseSteering, normaliseUnlearn, prepareUnlearnTexts } from '#src/api';
import { withResources } from '#src/base';
import { openEngine, openRun, openSource } from '#src/runs';
import { replaceBetween } from './markers.js';

const DOCS = fileURLToPath(new URL('../../../docs/lab/', import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    name: { type: 'string' },
    forget: { type: 'string' },
    retain: { type: 'string' },
    layers: { type: 'string' },
    out: { type: 'string' },
    docs: { type: 'string', default: DOCS },
    beta: { type: 'string', default: '5' },
    coefficient: { type: 'string', default: '6.5' },
    alpha: { type: 'string', default: '1200' },
    steps: { type: 'string', default: '100' },
    rate: { type: 'string', default: '0.0005' },
    batch: { type: 'string', default: '1024' },
    'sequence-length': { type: 'string', default: '256' },
  },
});
const [checkpoint] = positionals;
const { name, forget, retain, layers, out } = values;
if (!checkpoint || !name || !forget || !retain || !layers || !out) {
  throw new Error(
    'usage: npm run results:unlearn -- <checkpoint> --name <marker> --forget <text> --retain <text> --layers 4,10 --out <dir>',
  );
}
mkdirSync(out, { recursive: true });
const onProgress = (): void => {};

async function trial(layer: number, method: 'rmu' | 'adaptive-rmu'): Promise<Chosen> {
  const path = join(out!, `${method}-${layer}.json`);
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as Chosen;
  const settings = normaliseUnlearn({
    ...{ checkpoint: checkpoint!, forget: forget!, retain: retain!, out: join(out!, `${method}-${layer}`) },
    ...{
      layer,
      method,
      ...(method === 'rmu' ? { coefficient: Number(values.coefficient) } : { beta: Number(values.beta) }),
    },
    ...{ alpha: Number(values.alpha), steps: Number(values.steps), rate: Number(values.rate) },
    ...{ batch: Number(values.batch), sequenceLength: Number(values['sequence-length']), onProgress },
  });
  const model = await openSource(settings.checkpoint, onProgress);
  const texts = await prepareUnlearnTexts(settings, model);
  const began = performance.now();
  const chosen = await withResources(async (own) => {
    const engine = await own(openEngine(model, settings));
    const prepared = { calibration: texts.forget.text, validation: texts.retain.text, test: undefined };
    const { workspace } = await openRun('unlearn-sweep', settings, model, prepared);
    await own(workspace);
    mkdirSync(workspace.at('trials'), { recursive: true });
    return await chooseSteering({ engine, model, settings, texts, workspace });
  });
  console.error(`${path}: ${((performance.now() - began) / 60_000).toFixed(1)} minutes`);
  writeFileSync(path, `${JSON.stringify(chosen, null, 2)}\n`);
  return chosen;
}

const rows: string[][] = [];
for (const layer of layers.split(',').map(Number)) {
  const [rmu, adaptive] = [await trial(layer, 'rmu'), await trial(layer, 'adaptive-rmu')];
  const cells = ({ trial: { coefficient, forget: f, retain: r }, before }: Chosen): string[] => [
    coefficient.toFixed(1),
    `${f.toFixed(3)} (${f >= before.forget ? '+' : '−'}${Math.abs(f - before.forget).toFixed(3)})`,
    `${r.toFixed(3)} (${r >= before.retain ? '+' : '−'}${Math.abs(r - before.retain).toFixed(3)})`,
  ];
  rows.push([String(layer), rmu.trial.length.toFixed(1), ...cells(rmu), ...cells(adaptive)]);
}
const head = ['block', '‖h‖', 'c', 'forget', 'retain', `${values.beta}·‖h‖`, 'forget', 'retain'];
const table = [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
console.log(table);
const document = join(values.docs, 'results.md');
if (existsSync(document)) {
  const text = readFileSync(document, 'utf8');
  if (text.includes(`<!-- ${name} -->`)) writeFileSync(document, replaceBetween(text, name, table));
}
