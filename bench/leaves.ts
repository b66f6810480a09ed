// Calibration of one big model over workers on one machine: a LLaMA of zeros with 7 B shapes (hidden 4,096, feed-forward 11,008; the
// blocks are few), pruned by Wanda at one plan, in this process and over 1, 2, 4 and 8 workers of one thread. It shows what the letters
// cost, not what machines gain: the cores are the same. The outputs must be equal. Needs redis-server.
//
//   npm run bench:leaves [-- --width 4096 --blocks 2 --windows 16 --length 520 --workers 1,2,4,8]

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { hashFile } from '#src/base';
import { openQueue } from '#src/queue';
import { SENTENCE, writeLlama } from './llama.js';
import { peakOf } from './peak.js';

const { values } = parseArgs({
  options: {
    width: { type: 'string', default: '4096' },
    blocks: { type: 'string', default: '2' },
    windows: { type: 'string', default: '16' },
    length: { type: 'string', default: '520' },
    workers: { type: 'string', default: '1,2,4,8' },
  },
});
const [D, blocks, windows, length] = [values.width, values.blocks, values.windows, values.length].map(Number) as [
  number,
  number,
  number,
  number,
];
const F = Math.round((D * 11_008) / 4096);
const root = fileURLToPath(new URL('../../', import.meta.url));
const MAIN = join(root, 'dist/cli/main.js');
const scratch = mkdtempSync(join(tmpdir(), 'layerwise-leaves-'));
const at = (...parts: string[]): string => join(scratch, ...parts);
const model = at('model');

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { readonly port: number };
      server.close(() => resolve(port));
    });
  });

const ended = (child: ChildProcess): Promise<unknown> =>
  child.exitCode === null && child.signalCode === null
    ? new Promise((done) => child.once('exit', done))
    : Promise.resolve();

const log = openSync(at('log'), 'a');
const children: ChildProcess[] = [];
const start = (program: string, words: readonly string[]): ChildProcess => {
  const child = spawn(program, words, { stdio: ['ignore', 'ignore', log] });
  children.push(child);
  return child;
};

try {
  const shape = { hidden: D, intermediate: F, heads: D / 128, blocks, positions: length };
  const bytes = await writeLlama(model, shape, 'zeros');
  writeFileSync(at('text.txt'), SENTENCE.repeat((windows + 2) * length));
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}/0`;
  start('redis-server', ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', scratch]);
  await sleep(500);
  console.log(
    `${blocks} blocks of ${D} and ${F}, ${(bytes / 1e9).toFixed(2)} GB, ${windows} windows of ${length} tokens, Wanda 50 %`,
  );
  const prune = async (out: string, more: readonly string[]): Promise<number> => {
    const began = performance.now();
    const words = [model, '--sparsity', '0.5', '--allocation', 'uniform', '--calibration', at('text.txt')];
    const counts = ['--calibration-samples', `${windows}`, '--sequence-length', `${length}`, '--threads', '1'];
    const child = start(process.execPath, [MAIN, 'prune', ...words, ...counts, '--out', at(out), '--json', ...more]);
    await ended(child);
    if (child.exitCode !== 0) throw new Error(readFileSync(at('log'), 'utf8').slice(-2000));
    return (performance.now() - began) / 1000;
  };
  const alone = await prune('alone', []);
  const digest = await hashFile(at('alone', 'model.safetensors'));
  console.log(`in one process, one thread: ${alone.toFixed(1)} s`);
  for (const count of values.workers.split(',').map(Number)) {
    const store = at(`store-${count}`);
    const common = ['worker', '--queue', url, '--store', store, '--keep', '--threads', '1'];
    const workers = Array.from({ length: count }, (_, i) =>
      start(process.execPath, [MAIN, ...common, '--name', `w${i}`, '--scratch', at('scratch')]),
    );
    const queue = await openQueue(url, () => {});
    while ((await queue.workers()) < count) await sleep(100);
    await queue.close();
    const seconds = await prune(`out-${count}`, ['--queue', url, '--store', store]);
    const peak = Math.max(...workers.map(peakOf)) / 1e9;
    for (const worker of workers) worker.kill('SIGTERM');
    await Promise.all(workers.map(ended));
    const same = (await hashFile(at(`out-${count}`, 'model.safetensors'))) === digest;
    console.log(
      `${count} ${count === 1 ? 'worker' : 'workers'}: ${seconds.toFixed(1)} s, ${(seconds / alone).toFixed(2)} × one process; ${peak.toFixed(2)} GB a worker; ${same ? 'the same weights' : 'OTHER WEIGHTS'}`,
    );
    for (const used of [store, at(`out-${count}`), at('scratch')]) rmSync(used, { recursive: true, force: true });
    if (!same) process.exitCode = 1;
  }
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(scratch, { recursive: true, force: true });
}
