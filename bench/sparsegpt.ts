// One linear pruned with SparseGPT: the factor of the damped Gram matrix, and the sweep, against the straightforward
// PyTorch implementation of the published procedure (scripts/peers/sparsegpt_pytorch.py): the same W and H, the same
// threads, taking turns. Starting processes, importing and loading are in neither side's seconds; each side does a small
// linear first. The engine is the ordinary one: one worker, --threads threads.
//
//   npm run bench:sparsegpt [-- --columns 4096 --rows 4096 --threads 2 --turns 3 --python python3]

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createRng } from '#src/base';
import { createOrtEngine } from '#src/engine';
import { createGemm, type EngineGemm } from '#src/linalg';
import { factoriseGram, pruneSparseGpt } from '#src/operators';
import { median } from './median.js';

const { values } = parseArgs({
  options: {
    columns: { type: 'string', default: '4096' },
    rows: { type: 'string', default: '4096' },
    sparsity: { type: 'string', default: '0.5' },
    threads: { type: 'string', default: String(availableParallelism()) },
    turns: { type: 'string', default: '3' },
    python: { type: 'string', default: 'python3' },
  },
});
const columns = Number(values.columns);
const rows = Number(values.rows);
const threads = Number(values.threads);
const SEQUENCES = 128;
const peerScript = fileURLToPath(new URL('../../scripts/peers/sparsegpt_pytorch.py', import.meta.url));

/** `cpu` is the processor time of all threads: what a busy machine disturbs least, fair with --threads 1, where none spins. */
type Seconds = { readonly factor: number; readonly sweep: number; readonly total: number; readonly cpu: number };

const rng = createRng(0);
const uniform = (count: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: count }, () => 2 * rng.uniform() - 1);
const bytesOf = (data: Float32Array): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** Σ xᵀx of inputs that share an eighth as many directions, as activations do, over twice as many tokens as columns. */
async function makeGram(gemm: EngineGemm, n: number): Promise<Float32Array> {
  const rank = Math.ceil(n / 8);
  const mix = { rows: n, columns: rank, data: uniform(n * rank) };
  const X = await gemm.multiply(mix, { rows: rank, columns: 2 * n, data: uniform(2 * n * rank) });
  const noise = uniform(X.length);
  for (let i = 0; i < X.length; i++) X[i]! += noise[i]!;
  const H = await gemm.multiply(
    { rows: n, columns: 2 * n, data: X },
    { rows: n, columns: 2 * n, data: X.slice() },
    'B',
  );
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) H[i * n + j] = H[j * n + i]!;
  return H;
}

async function runOurs(gemm: EngineGemm, W: Float32Array, H: Float32Array, n: number, m: number) {
  const gram = H.slice();
  const before = process.cpuUsage();
  const start = performance.now();
  const factor = await factoriseGram(gram, n, { gemm, sequences: SEQUENCES });
  const middle = performance.now();
  const count = Math.round(Number(values.sparsity) * m * n);
  const { mask, weights } = await pruneSparseGpt({ rows: m, columns: n, data: W }, { kind: 'panels', count }, factor, {
    gemm,
  });
  const end = performance.now();
  const { user, system } = process.cpuUsage(before);
  const seconds: Seconds = {
    factor: (middle - start) / 1000,
    sweep: (end - middle) / 1000,
    total: (end - start) / 1000,
    cpu: (user + system) / 1e6,
  };
  return { seconds, mask, weights };
}

/** tr((W − P)·H·(W − P)ᵀ) / tr(W·H·Wᵀ): the relative squared error of the linear's output. */
async function outputError(gemm: EngineGemm, W: Float32Array, P: Float32Array, H: Float32Array): Promise<number> {
  const energy = async (D: Float32Array): Promise<number> => {
    const shape = { rows, columns };
    const product = await gemm.multiply({ ...shape, data: D.slice() }, { rows: columns, columns, data: H.slice() });
    return product.reduce((sum, x, i) => sum + x * D[i]!, 0);
  };
  return (await energy(W.map((w, i) => w - P[i]!))) / (await energy(W));
}

const medians = (all: readonly Seconds[]): Seconds => ({
  factor: median(all.map(({ factor }) => factor)),
  sweep: median(all.map(({ sweep }) => sweep)),
  total: median(all.map(({ total }) => total)),
  cpu: median(all.map(({ cpu }) => cpu)),
});

const scratch = mkdtempSync(join(tmpdir(), 'layerwise-bench-'));
const engine = await createOrtEngine({ device: 'cpu', workers: 1, threads });
try {
  const gemm = await createGemm(engine);
  const H = await makeGram(gemm, columns);
  const W = uniform(rows * columns);
  const [weightsFile, gramFile, result] = ['W.f32', 'H.f32', 'P.f32'].map((name) => join(scratch, name));
  writeFileSync(weightsFile!, bytesOf(W));
  writeFileSync(gramFile!, bytesOf(H));
  await runOurs(gemm, uniform(512 * 512), await makeGram(gemm, 512), 512, 512);

  const ours: Seconds[] = [];
  const peers: Seconds[] = [];
  let last: Awaited<ReturnType<typeof runOurs>> | undefined;
  for (let turn = 0; turn < Number(values.turns); turn++) {
    last = await runOurs(gemm, W, H, columns, rows);
    ours.push(last.seconds);
    const output = execFileSync(
      values.python,
      [peerScript, '--weights', weightsFile!, '--gram', gramFile!, '--rows', String(rows), '--columns', String(columns)]
        .concat(['--sparsity', values.sparsity, '--sequences', String(SEQUENCES), '--threads', String(threads)])
        .concat(['--out', result!]),
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
    );
    peers.push((JSON.parse(output) as { seconds: Seconds }).seconds);
  }
  const bytes = readFileSync(result!);
  const theirs = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  let differ = 0;
  for (const [i, gone] of last!.mask.entries()) if ((theirs[i] === 0) !== (gone === 1)) differ++;
  console.log(
    JSON.stringify(
      {
        shape: [rows, columns],
        threads,
        ours: medians(ours),
        pytorch: medians(peers),
        ratio: medians(ours).total / medians(peers).total,
        cpuRatio: medians(ours).cpu / medians(peers).cpu,
        all: { ours, pytorch: peers },
        outputError: {
          ours: await outputError(gemm, W, last!.weights, H),
          pytorch: await outputError(gemm, W, theirs, H),
        },
        masksDiffer: differ / last!.mask.length,
      },
      null,
      2,
    ),
  );
} finally {
  await engine.close();
  rmSync(scratch, { recursive: true, force: true });
}
