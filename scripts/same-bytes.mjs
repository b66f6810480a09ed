// Shows that a change of the code changes no result: runs prune, compare, drop and pack on the demo checkpoint and prints a
// SHA-256 for each output (checkpoint files, plan numbers, losses, .lw files). The form of layerwise.json may change; the
// numbers in it may not. Sums differ between processors, so compare two builds on one machine:
//   node scripts/same-bytes.mjs --write before.json      on the old build
//   node scripts/same-bytes.mjs --against before.json    on the new one; exit 1 where a hash differs
// Build first: npm run build:scripts.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const model = join(root, 'demo/model');
const work = mkdtempSync(join(tmpdir(), 'same-bytes-'));

const { TEXTS } = await import(join(root, 'build/scripts/demo/texts.js'));
const texts = {};
for (const [name, make] of Object.entries(TEXTS)) {
  texts[name] = join(work, `${name}.txt`);
  writeFileSync(texts[name], make().slice(0, 40_000));
}

const SEARCH = ['--calibration-samples', '16', '--sequence-length', '128', '--max-trials', '3'];
const WITH = ['--calibration', texts.calibration, '--validation', texts.validation];
const TEST = ['--test', texts.test];
const prune = (...words) => ['prune', model, ...SEARCH, ...WITH, ...words];

const RUNS = {
  'prune-atp-wanda': prune('--sparsity', '0.6', ...TEST),
  'prune-atp-given-sparsegpt': prune('--sparsity', '0.6', '--beta', '0.01', '--criterion', 'sparsegpt', ...TEST),
  'prune-layerwise-n16': prune('--sparsity', '0.5', '--allocation', 'layerwise', '--pattern', 'n:16', ...TEST),
  'prune-layerwise-sparsegpt': prune('--sparsity', '0.6', '--allocation', 'layerwise', '--criterion', 'sparsegpt'),
  'prune-neuronal': prune('--sparsity', '0.6', '--allocation', 'neuronal'),
  'prune-ecoflap-published': prune('--sparsity', '0.6', '--allocation', 'ecoflap', '--budget', 'published'),
  'prune-owl-admm': prune('--sparsity', '0.7', '--allocation', 'owl', '--criterion', 'admm'),
  'prune-uniform-2of4': prune('--sparsity', '0.5', '--allocation', 'uniform', '--pattern', '2:4'),
  'prune-dsnot': prune('--sparsity', '0.6', '--allocation', 'als', '--criterion', 'dsnot'),
  'prune-dsnot-sparsegpt': prune('--sparsity', '0.6', '--allocation', 'dlp', '--criterion', 'dsnot-sparsegpt'),
  'prune-magnitude': ['prune', model, '--sparsity', '0.5', '--allocation', 'lamp', '--criterion', 'magnitude'],
  compare: [
    ...['compare', model, '--sparsity', '0.5,0.7', '--allocations', 'atp,owl,layerwise'],
    ...[...SEARCH, ...WITH, ...TEST],
  ],
  'drop-shortgpt': [
    'drop',
    model,
    '--blocks',
    '2',
    '--method',
    'shortgpt',
    '--sequence-length',
    '128',
    ...WITH,
    ...TEST,
  ],
  'drop-angular': ['drop', model, '--blocks', '2', '--method', 'angular', '--sequence-length', '128', ...WITH, ...TEST],
  'drop-deepest': ['drop', model, '--blocks', '2', '--method', 'deepest', '--sequence-length', '128', ...TEST],
  'drop-perplexity': ['drop', model, '--blocks', '2', '--method', 'perplexity', '--sequence-length', '128', ...WITH],
};
const PACKS = { 'pack-int8': ['--values', 'int8'], 'pack-int4': ['--values', 'int4'], 'pack-f32': ['--values', 'f32'] };

const sha256 = (data) => createHash('sha256').update(data).digest('hex');

const layerwise = (words) => {
  execFileSync(process.execPath, [join(root, 'dist/cli/main.js'), ...words], { stdio: ['ignore', 'ignore', 'pipe'] });
};

const filesOf = (dir) =>
  readdirSync(dir, { recursive: true })
    .map((name) => join(dir, name))
    .filter((path) => statSync(path).isFile())
    .sort();

/** The rate of each linear, whatever the plan's version. */
function ratesOf(plan, linears) {
  return Object.fromEntries(
    linears.map((name) => {
      const block = Number(/\.(\d+)\./.exec(name)[1]);
      if (plan.units) return [name, (plan.units[name] ?? plan.units[`blocks.${block}`])?.zeros?.rate ?? 0];
      return [name, plan.blocks?.[block] ?? plan.linears?.[name] ?? 0];
    }),
  );
}

const scores = (row) => row && [row.validation?.nll ?? row.validation, row.test?.nll ?? row.test, row.errors];

/** The numbers of a record that no change of its form may change. */
function numbersOf(record) {
  switch (record.format) {
    case 'layerwise-run':
      return {
        rates: ratesOf(record.plan, Object.keys(record.sparsity.linears).sort()),
        zeros: record.sparsity.linears,
        scores: [record.dense, record.uniform, record.chosen].map(scores),
        trials: record.trials.map(({ hyperparameters, rates, exact, validation, interval, errors }) => [
          ...[hyperparameters, rates, exact, validation.nll, interval, errors],
        ]),
        search: record.search && { ...record.search, method: undefined },
      };
    case 'layerwise-comparison':
      return record.rows.map((row) => [
        ...[row.allocation, row.hyperparameters, row.rates, row.sparsity, scores(row)],
        ...[row.versusUniform, row.versusAtp, row.trials, row.equivalents],
      ]);
    case 'layerwise-drop':
      return [record.removed, record.scores, record.dense, record.dropped];
    default:
      throw new Error(`No rule for the numbers of ${record.format}.`);
  }
}

const hashes = {};
const hashOutput = (name, out) => {
  for (const path of statSync(out).isFile() ? [out] : filesOf(out)) {
    const file = relative(out, path) || 'file';
    if (file.endsWith('.html')) continue;
    const bytes = readFileSync(path);
    const isRecord = file === 'layerwise.json' || file === 'compare.json';
    hashes[`${name}/${file}`] = sha256(isRecord ? JSON.stringify(numbersOf(JSON.parse(bytes))) : bytes);
  }
};

try {
  for (const [name, words] of Object.entries(RUNS)) {
    const out = join(work, name);
    layerwise([...words, '--out', out]);
    hashOutput(name, out);
    console.error(name);
  }
  for (const [name, words] of Object.entries(PACKS)) {
    const out = join(work, `${name}.lw`);
    layerwise(['pack', join(work, 'prune-layerwise-n16'), ...words, '--out', out]);
    hashOutput(name, out);
    console.error(name);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}

const [mode, path] = process.argv.slice(2);
if (mode === '--write') writeFileSync(path, `${JSON.stringify(hashes, null, 2)}\n`);
if (mode === '--against') {
  const before = JSON.parse(readFileSync(path, 'utf8'));
  const names = [...new Set([...Object.keys(before), ...Object.keys(hashes)])];
  const differing = names.filter((name) => before[name] !== hashes[name]);
  for (const name of differing) console.log(`differs: ${name}`);
  console.log(`${names.length - differing.length} of ${names.length} outputs have the same bytes.`);
  process.exitCode = differing.length > 0 ? 1 : 0;
}
