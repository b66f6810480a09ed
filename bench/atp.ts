// One ATP trial and the whole search, against the straightforward PyTorch implementation of the published procedure
// (scripts/peers/atp_pytorch.py): the same windows, the same threads, one run, taking turns.
//
//   npm run bench:atp -- <checkpoint> <calibration.txt> <validation.txt> [--python python3] [--trials 3] [--grid]
//
// Without --grid the peer's search is not run but counted as nine of its trials, and the output says so.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { prune } from 'layerwise';
import { openModel } from '#src/model';
import { maxBeta } from '#src/plan';
import { loadTokenizer, makeWindows, readCorpus, tokenizeCorpus } from '#src/text';
import { median } from './median.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    python: { type: 'string', default: 'python3' },
    trials: { type: 'string', default: '3' },
    sparsity: { type: 'string', default: '0.7' },
    threads: { type: 'string', default: String(availableParallelism()) },
    grid: { type: 'boolean', default: false },
  },
});
const [checkpoint, calibration, validation] = positionals;
if (!checkpoint || !calibration || !validation) {
  console.error('usage: npm run bench:atp -- <checkpoint> <calibration.txt> <validation.txt> [--python …] [--grid]');
  process.exit(2);
}
const S = Number(values.sparsity);
const threads = Number(values.threads);
const SAMPLES = 128;
const peerScript = fileURLToPath(new URL('../../scripts/peers/atp_pytorch.py', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'layerwise-bench-'));

type PeerTrial = { beta: number; perplexity: number; seconds: { total: number } };

const model = await openModel(checkpoint);
const T = Math.min(model.config.maxPositions, 2048);
const bound = maxBeta(S, model.config.blocks);

async function writeWindows(name: string, path: string, order: 'sequential' | 'all', count?: number): Promise<string> {
  const tokens = await tokenizeCorpus(await loadTokenizer(checkpoint!), await readCorpus(path), {});
  const { windows } = makeWindows(tokens, { length: T, order, seed: 0, ...(count ? { count } : {}) });
  const flat = new Int32Array(windows.length * T);
  for (const [i, window] of windows.entries()) flat.set(window, i * T);
  const file = join(scratch, name);
  writeFileSync(file, new Uint8Array(flat.buffer));
  return file;
}

function runPeer(betas: readonly number[], calibrationFile: string, evaluationFile: string): PeerTrial[] {
  const output = execFileSync(
    values.python,
    [peerScript, '--checkpoint', checkpoint!, '--calibration-tokens', calibrationFile, '--eval-tokens', evaluationFile]
      .concat(['--sequence-length', String(T), '--sparsity', String(S), '--betas', betas.join(',')])
      .concat(['--threads', String(threads)]),
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 26 },
  );
  return (JSON.parse(output) as { trials: PeerTrial[] }).trials;
}

async function runOurs() {
  const out = join(scratch, 'out');
  const result = await prune({
    checkpoint: checkpoint!,
    out,
    sparsity: S,
    calibration: calibration!,
    validation: validation!,
    calibrationOrder: 'sequential',
    windowStart: 'none', // as in the windows that the peer gets
    calibrationSamples: SAMPLES,
    budget: 'published',
    threads,
  });
  rmSync(out, { recursive: true });
  return result;
}

try {
  const calibrationFile = await writeWindows('calibration.i32', calibration, 'sequential', SAMPLES);
  const evaluationFile = await writeWindows('validation.i32', validation, 'all');
  const ours: number[] = [];
  const searches: number[] = [];
  const peers: number[] = [];
  let perplexities: unknown;
  for (let turn = 0; turn < Number(values.trials); turn++) {
    const result = await runOurs();
    const exact = result.trials.filter((trial) => trial.exact);
    ours.push(median(exact.map((trial) => trial.seconds)));
    searches.push(result.seconds);
    const { beta } = exact[1]!;
    const peer = runPeer([beta!], calibrationFile, evaluationFile)[0]!;
    peers.push(peer.seconds.total);
    perplexities = { beta, ours: exact[1]!.validation.perplexity, pytorch: peer.perplexity };
  }
  const grid = Array.from({ length: 9 }, (_, j) => (bound * (j + 1)) / 9);
  const peerSearch = values.grid
    ? runPeer(grid, calibrationFile, evaluationFile).reduce((sum, trial) => sum + trial.seconds.total, 0)
    : 9 * median(peers);
  console.log(
    JSON.stringify(
      {
        threads,
        perplexities,
        trial: { ours, pytorch: peers, ratio: median(peers) / median(ours) },
        search: {
          ours: searches,
          pytorch: peerSearch,
          pytorchMeasured: values.grid,
          ratio: peerSearch / median(searches),
        },
      },
      null,
      2,
    ),
  );
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
