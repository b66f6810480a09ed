// Zero-shot items, by default 1,000 of HellaSwag: requests from their fields, tokens, and log-probabilities, against the
// straightforward loop of lm-evaluation-harness in PyTorch (scripts/peers/zeroshot_pytorch.py, one request at a time as is its
// default, and with --batch-size, a number of them padded together): the same items, the same threads, taking turns. Starting
// processes, importing and opening the checkpoint are in neither side's seconds; each does a few items first.
//
//   npm run bench:zeroshot -- <checkpoint> <folder of items>
//     [--task hellaswag --limit 1000 --batch-size 1 --threads 2 --turns 3 --python python3]

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { evaluate } from 'layerwise';
import { openModel } from '#src/model';
import { findTask, loadTask, requestsOf } from '#src/zeroshot';
import { median } from './median.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    task: { type: 'string', default: 'hellaswag' },
    limit: { type: 'string', default: '1000' },
    'batch-size': { type: 'string', default: '1' },
    threads: { type: 'string', default: String(availableParallelism()) },
    turns: { type: 'string', default: '3' },
    python: { type: 'string', default: 'python3' },
  },
});
const [checkpoint, data] = positionals;
if (checkpoint === undefined || data === undefined) {
  throw new Error('Usage: npm run bench:zeroshot -- <checkpoint> <folder of items>');
}
const task = findTask(values.task);
const limit = Number(values.limit);
const threads = Number(values.threads);
const peerScript = fileURLToPath(new URL('../../scripts/peers/zeroshot_pytorch.py', import.meta.url));
const length = (await openModel(checkpoint)).config.maxPositions;
const { documents } = await loadTask(data, task);
const scored = documents.slice(0, limit);
const requests = scored.flatMap((document) => requestsOf(document));

/** `cpu` is the processor time of all threads. */
type Seconds = { readonly total: number; readonly cpu: number };
type Scores = readonly (readonly [logProbability: number, greedy: boolean])[];
type Turn = { readonly seconds: Seconds; readonly results: Scores };

async function runOurs(count: number): Promise<Turn> {
  const before = process.cpuUsage();
  const start = performance.now();
  const options = { checkpoint: checkpoint!, data: data!, tasks: [task.name], limit: count, threads };
  const { tasks } = await evaluate(options);
  const total = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  const items = tasks!.outcomes[0]!.parts.flatMap((part) => part.items);
  const results = items.flatMap(({ likelihoods }) =>
    likelihoods.map(({ logProbability, greedy }) => [logProbability, greedy] as const),
  );
  return { seconds: { total, cpu: (user + system) / 1e6 }, results };
}

function runPeer(file: string): Turn {
  const words = ['--checkpoint', checkpoint!, '--requests', file, '--length', String(length)];
  const output = execFileSync(
    values.python,
    [peerScript, ...words, '--batch-size', values['batch-size'], '--threads', String(threads)],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 28 },
  );
  return JSON.parse(output) as Turn;
}

/** Of equal ones the first. */
const choiceOf = (sums: readonly number[]): number => sums.indexOf(Math.max(...sums));
const medians = (turns: readonly Turn[]): Seconds => ({
  total: median(turns.map(({ seconds }) => seconds.total)),
  cpu: median(turns.map(({ seconds }) => seconds.cpu)),
});

const scratch = mkdtempSync(join(tmpdir(), 'layerwise-bench-'));
try {
  const file = join(scratch, 'requests.jsonl');
  writeFileSync(file, requests.map((request) => `${JSON.stringify(request)}\n`).join(''));
  await runOurs(5);
  const ours: Turn[] = [];
  const peers: Turn[] = [];
  for (let turn = 0; turn < Number(values.turns); turn++) {
    ours.push(await runOurs(limit));
    peers.push(runPeer(file));
  }
  const [mine, theirs] = [ours.at(-1)!.results, peers.at(-1)!.results];
  let furthest = 0;
  let equal = 0;
  let at = 0;
  for (const document of scored) {
    const count = requestsOf(document).length;
    const [a, b] = [mine, theirs].map((results) => results.slice(at, at + count).map(([sum]) => sum));
    for (let i = 0; i < count; i++) furthest = Math.max(furthest, Math.abs(a![i]! - b![i]!));
    if (choiceOf(a!) === choiceOf(b!)) equal++;
    at += count;
  }
  console.log(
    JSON.stringify(
      {
        task: task.name,
        items: scored.length,
        requests: requests.length,
        threads,
        peerBatch: Number(values['batch-size']),
        ours: medians(ours),
        pytorch: medians(peers),
        ratio: medians(peers).total / medians(ours).total,
        cpuRatio: medians(peers).cpu / medians(ours).cpu,
        all: { ours: ours.map(({ seconds }) => seconds), pytorch: peers.map(({ seconds }) => seconds) },
        furthest,
        equalChoices: equal / scored.length,
      },
      null,
      2,
    ),
  );
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
