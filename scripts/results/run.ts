// npm run results: everything docs/lab/results.md shows of one checkpoint, by one command. Comparisons of all policies with
// each criterion, regular patterns at 50 %, removals of whole blocks, how errors travel, and on request the front; then the
// tables between the markers of the documents, from the records alone. Each part is a folder or a file under --out: what is
// there is not made again, and what was interrupted continues. A checkpoint that is not there is skipped, with a line that says so.
//   npm run results -- <checkpoint> --name novels-2m --calibration … --validation … --test … --out <dir> [--parts compare,front]
// --queue, --store and --workers hand the trials of the comparisons out (docs/guide/workers.md).
// --tables writes the documents from what is there and runs nothing. Other options narrow a run.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compare, drop, frontier, inspect, type ProgressEvent, prune } from 'layerwise';
import {
  type Comparison,
  comparisonSchema,
  type Plan,
  parseDropRecord,
  parseFrontier,
  parseManifest,
  readContender,
} from '#src/records';
import { frontierTable, markdownTable } from '#src/words';
import { replaceBetween } from './markers.js';
import { comparisonTables, dropTable, growthTable, patternTable } from './tables.js';

const DOCS = fileURLToPath(new URL('../../../docs/lab/', import.meta.url));
/** At one half, `n:M` with uniform rates is 8:16, 4:8 and 2:4. */
const PATTERNS = ['row', 'n:16', 'n:8', 'n:4'] as const;
const DROP_METHODS = ['perplexity', 'shortgpt', 'angular', 'deepest'] as const;
const DROPPED = [2, 4] as const;
const PARTS = ['compare', 'patterns', 'drops', 'growth', 'front'] as const;
type Part = (typeof PARTS)[number];
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
    'sequence-length': { type: 'string' },
    'max-trials': { type: 'string', default: '6' },
    parts: { type: 'string', default: 'compare,patterns,drops,growth' },
    target: { type: 'string' },
    'target-shares': { type: 'string' },
    contenders: { type: 'string' },
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

if (!existsSync(checkpoint)) {
  console.error(`skipped: ${checkpoint} is not there. docs/lab/results.md says which model it is.`);
  process.exit(0);
}
const unknown = values.parts.split(',').find((part) => !PARTS.includes(part as Part));
if (unknown !== undefined) throw new Error(`--parts: expected some of ${PARTS.join(', ')}, got "${unknown}"`);
const has = (part: Part): boolean => values.parts.split(',').includes(part);

const choosing = {
  ...{ checkpoint, calibration, validation, calibrationSamples: Number(values['calibration-samples']) },
  ...(values['sequence-length'] ? { sequenceLength: Number(values['sequence-length']) } : {}),
};
const texts = { ...choosing, test };
/** As of `--target-shares`: `alpha=0.5,gamma=0.5`. */
const shares = values['target-shares']?.split(',').map((pair) => pair.split('='));
const targetShares = shares ? { targetShares: Object.fromEntries(shares.map(([key, n]) => [key, Number(n)])) } : {};
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
const FIRST_BLOCK = at('first-block.json');
const FRONT = at('front');
const removals = DROPPED.flatMap((n) => DROP_METHODS.map((method) => [method, n] as const));

/** Where the trials of comparisons are handed out to, if anywhere. */
const handedOut = (): { readonly queue?: string; readonly store?: string; readonly workers?: number } => ({
  ...(values.queue ? { queue: values.queue } : {}),
  ...(values.store ? { store: values.store } : {}),
  ...(values.workers ? { workers: Number(values.workers) } : {}),
});

async function runParts(checkpoint: string, out: string): Promise<void> {
  mkdirSync(out, { recursive: true });
  const common = { ...texts, ...handedOut(), maxTrials: Number(values['max-trials']), onProgress };
  for (const criterion of has('compare') ? criteria : []) {
    await part(comparedAt(criterion), (resume) =>
      compare({
        ...common,
        criterion,
        sparsities: values.sparsity.split(',').map(Number),
        ...(values.allocations ? { allocations: values.allocations.split(',') } : {}),
        ...(values.target ? { target: values.target, ...targetShares } : {}),
        out: comparedAt(criterion),
        resume,
      }),
    );
  }
  for (const pattern of has('patterns') ? PATTERNS : []) {
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
  for (const [method, n] of has('drops') ? removals : []) {
    await recordOf(dropAt(method, n), (to, resume) =>
      drop({ ...texts, blocks: n, method, out: to, resume, onProgress }),
    );
  }
  if (has('growth')) {
    const { blocks } = await inspect(checkpoint);
    await recordOf(FIRST_BLOCK, (to, resume) => prune({ ...choosing, plan: firstBlockPlan(blocks), out: to, resume }));
  }
  if (has('front')) {
    await part(FRONT, (resume) =>
      frontier({
        ...{ ...choosing, text: texts.test, ...targetShares, out: FRONT, resume, onProgress },
        ...{ maxTrials: common.maxTrials, greedyTokens: 0 },
        ...(values.contenders ? { contenders: values.contenders.split(',') } : {}),
      }),
    );
  }
}

/** Only the first block is pruned. */
function firstBlockPlan(blocks: number): Plan {
  const rates = Array.from({ length: blocks }, (_, block) => (block === 0 ? FIRST_BLOCK_RATE : 0));
  const units = Object.fromEntries(rates.map((rate, block) => [`blocks.${block}`, { zeros: { rate } }]));
  return { format: 'layerwise-plan', version: 2, units };
}

const read = (path: string): string => readFileSync(path, 'utf8');
const readComparison = (dir: string) => comparisonSchema.parse(JSON.parse(read(join(dir, 'compare.json'))));

function write(document: string, marker: string, content: string): void {
  const path = join(values.docs, document);
  writeFileSync(path, replaceBetween(read(path), marker, content));
  console.error(`written: ${marker} in ${path}`);
}

function writeTables(): void {
  const comparisons = has('compare') ? criteria.map((criterion) => readComparison(comparedAt(criterion))) : [];
  const patterns = has('patterns') ? PATTERNS.map((pattern) => readComparison(patternAt(pattern))) : [];
  const drops = has('drops') ? removals.map(([method, n]) => dropAt(method, n)) : [];
  const [first] = comparisons;
  const parts = [
    ...(first ? [describeTexts(first)] : []),
    ...comparisons.map(comparisonTables),
    ...(patterns.length > 0 ? [patternTable(patterns)] : []),
    ...(drops.length > 0 ? [dropTable(drops.map((path) => parseDropRecord(read(path), path)))] : []),
  ];
  if (parts.length > 0) write('results.md', `results: ${name}`, parts.join('\n\n'));
  if (has('growth') && first) {
    write('theory.md', `growth: ${name}`, growthTable(first, parseManifest(read(FIRST_BLOCK), FIRST_BLOCK)));
  }
  if (has('front')) {
    const path = join(FRONT, 'frontier.json');
    const { contenders } = parseFrontier(read(path), path);
    write('results.md', `front: ${name}`, markdownTable(frontierTable(contenders.map(readContender))));
  }
}

function describeTexts({ texts: used, dense }: Comparison): string {
  const windows = (text: typeof used.validation | null): string => (text ? `${text.windows}` : 'no');
  return `Calibration ${windows(used.calibration)}, validation ${windows(used.validation)}, test ${windows(used.test)} windows of ${used.validation.length} tokens; dense perplexity ${dense.validation.perplexity.toFixed(3)} on validation text.`;
}

if (!values.tables) await runParts(checkpoint, out);
writeTables();
console.error('npm run format pads the tables, as npm run check wants them');
