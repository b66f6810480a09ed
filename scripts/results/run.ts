// npm run results: everything docs/lab/results.md shows of one checkpoint, by one command. Comparisons of all policies with
// each criterion, regular patterns at 50 %, removals of whole blocks, and how errors travel; then the tables between the
// markers of the documents, from the records alone. Each part is a folder or a file under --out: what is there is not made
// again, and what was interrupted continues.
//   npm run results -- <checkpoint> --name novels-2m --calibration … --validation … --test … --out <dir>
// --queue, --store and --workers hand the trials of the comparisons out (docs/guide/workers.md).
// --tables writes the documents from what is there and runs nothing. Other options narrow a trial run.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compare, drop, inspect, type ProgressEvent, prune } from 'layerwise';
import { comparisonSchema, parseDropRecord, parseManifest } from '#src/records';
import { replaceBetween } from './markers.js';
import { comparisonTables, dropTable, growthTable, patternTable } from './tables.js';

const DOCS = fileURLToPath(new URL('../../../docs/lab/', import.meta.url));
/** At one half, `n:M` with uniform rates is 8:16, 4:8 and 2:4. */
const PATTERNS = ['row', 'n:16', 'n:8', 'n:4'] as const;
const DROP_METHODS = ['perplexity', 'shortgpt', 'angular', 'deepest'] as const;
const DROPPED = [2, 4] as const;
/** The rate of the first block in the plan that prunes it alone. */
const FIRST_BLOCK_RATE = 0.7;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    name: { type: 'string' },
    calibration: { type: 'string' },
    validation: { type: 'string' },
    test: { type: 'string' },
    out: { type: 'string' },
    docs: { type: 'string', default: DOCS },
    tables: { type: 'boolean', default: false },
    sparsity: { type: 'string', default: '0.5,0.6,0.7,0.8' },
    criteria: { type: 'string', default: 'wanda,sparsegpt' },
    allocations: { type: 'string' },
    'calibration-samples': { type: 'string', default: '128' },
    'max-trials': { type: 'string', default: '6' },
    queue: { type: 'string' },
    store: { type: 'string' },
    workers: { type: 'string' },
  },
});
const [checkpoint] = positionals;
const { name, calibration, validation, test, out } = values;
if (!checkpoint || !name || !calibration || !validation || !test || !out) {
  throw new Error(
    'usage: npm run results -- <checkpoint> --name <marker> --calibration <text> --validation <text> --test <text> --out <dir>',
  );
}

const texts = { checkpoint, calibration, validation, test, calibrationSamples: Number(values['calibration-samples']) };
const onProgress = (event: ProgressEvent): void => {
  if (event.kind === 'note') console.error(`  ${event.text}`);
};
const criteria = values.criteria.split(',');

/** Makes `path` unless it is there; says how long it took. */
async function part(path: string, make: (resume: boolean) => Promise<unknown>): Promise<void> {
  if (existsSync(path)) return;
  console.error(path);
  const began = performance.now();
  await make(existsSync(`${path}.partial`));
  console.error(`  ${((performance.now() - began) / 60_000).toFixed(1)} minutes`);
}

/** A checkpoint is made, and of it only the record is kept. */
async function recordOf(path: string, make: (out: string, resume: boolean) => Promise<unknown>): Promise<void> {
  const made = `${path}.checkpoint`;
  await part(path, async () => {
    if (!existsSync(made)) await make(made, existsSync(`${made}.partial`));
    renameSync(join(made, 'layerwise.json'), path);
    rmSync(made, { recursive: true });
  });
}

const at = (file: string): string => join(out, file);
const comparedAt = (criterion: string): string => at(`compare-${criterion}`);
const patternAt = (pattern: string): string => at(`pattern-${pattern.replace(':', '-')}`);
const dropAt = (method: string, n: number): string => at(`drop-${method}-${n}.json`);

/** Where the trials of comparisons are handed out to, if anywhere. */
const handedOut = (): { readonly queue?: string; readonly store?: string; readonly workers?: number } => ({
  ...(values.queue ? { queue: values.queue } : {}),
  ...(values.store ? { store: values.store } : {}),
  ...(values.workers ? { workers: Number(values.workers) } : {}),
});

async function run(blocks: number): Promise<void> {
  mkdirSync(out!, { recursive: true });
  const common = { ...texts, ...handedOut(), maxTrials: Number(values['max-trials']), onProgress };
  for (const criterion of criteria) {
    await part(comparedAt(criterion), (resume) =>
      compare({
        ...common,
        criterion,
        sparsities: values.sparsity.split(',').map(Number),
        ...(values.allocations ? { allocations: values.allocations.split(',') } : {}),
        out: comparedAt(criterion),
        resume,
      }),
    );
  }
  for (const pattern of PATTERNS) {
    await part(patternAt(pattern), (resume) =>
      compare({
        ...common,
        pattern,
        sparsities: [0.5],
        allocations: ['uniform', 'atp'],
        out: patternAt(pattern),
        resume,
      }),
    );
  }
  for (const n of DROPPED) {
    for (const method of DROP_METHODS) {
      await recordOf(dropAt(method, n), (to, resume) =>
        drop({ ...texts, blocks: n, method, out: to, resume, onProgress }),
      );
    }
  }
  await recordOf(at('first-block.json'), (to, resume) => {
    const rates = Array.from({ length: blocks }, (_, block) => (block === 0 ? FIRST_BLOCK_RATE : 0));
    const units = Object.fromEntries(rates.map((rate, block) => [`blocks.${block}`, { zeros: { rate } }]));
    const plan = { format: 'layerwise-plan', version: 2, units } as const;
    return prune({
      checkpoint: checkpoint!,
      calibration: calibration!,
      validation: validation!,
      plan,
      out: to,
      resume,
    });
  });
}

const read = (path: string): string => readFileSync(path, 'utf8');
const readComparison = (dir: string) => comparisonSchema.parse(JSON.parse(read(join(dir, 'compare.json'))));

function write(document: string, marker: string, content: string): void {
  const path = join(values.docs, document);
  writeFileSync(path, replaceBetween(read(path), marker, content));
  console.error(`written: ${marker} in ${path}`);
}

function writeTables(): void {
  const comparisons = criteria.map((criterion) => readComparison(comparedAt(criterion)));
  const drops = DROPPED.flatMap((n) => DROP_METHODS.map((method) => dropAt(method, n)));
  const { texts: used, dense } = comparisons[0]!;
  const windows = (text: typeof used.validation | null): string => (text ? `${text.windows}` : 'no');
  const intro = `Calibration ${windows(used.calibration)}, validation ${windows(used.validation)}, test ${windows(used.test)} windows of ${used.validation.length} tokens; dense perplexity ${dense.validation.perplexity.toFixed(3)} on validation text.`;
  const parts = [
    intro,
    ...comparisons.map(comparisonTables),
    patternTable(PATTERNS.map((pattern) => readComparison(patternAt(pattern)))),
    dropTable(drops.map((path) => parseDropRecord(read(path), path))),
  ];
  write('results.md', `results: ${name}`, parts.join('\n\n'));
  const first = parseManifest(read(at('first-block.json')), at('first-block.json'));
  write('theory.md', `growth: ${name}`, growthTable(comparisons[0]!, first));
}

if (!values.tables) await run((await inspect(checkpoint)).blocks);
writeTables();
console.error('npm run format pads the tables, as npm run check wants them');
