// Calibration of one big model over workers on one machine: a LLaMA of zeros with 7 B shapes (hidden 4,096, feed-forward 11,008; the
// blocks are few), pruned by Wanda at one plan, in this process and over 1, 2, 4 and 8 workers of one thread. It shows what the letters
// cost, not what machines gain: the cores are the same. The outputs must be equal. Needs redis-server.
// The demo's tokenizer and texts of letters; the tokens do not matter.
//
//   npm run bench:leaves [-- --width 4096 --blocks 2 --windows 16 --length 520 --workers 1,2,4,8]

import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { hashFile } from '#src/base';
import { writeSafetensors } from '#src/checkpoint';
import { openQueue } from '#src/queue';

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
mkdirSync(model);

async function makeModel(): Promise<number> {
  const V = (JSON.parse(readFileSync(join(root, 'demo/model/config.json'), 'utf8')) as { vocab_size: number })
    .vocab_size;
  const config = {
    model_type: 'llama',
    hidden_size: D,
    intermediate_size: F,
    num_hidden_layers: blocks,
    vocab_size: V,
  };
  const more = { num_attention_heads: D / 128, max_position_embeddings: length, tie_word_embeddings: true };
  writeFileSync(join(model, 'config.json'), JSON.stringify({ ...config, ...more }));
  copyFileSync(join(root, 'demo/model/tokenizer.json'), join(model, 'tokenizer.json'));
  const shapes: [string, number[]][] = [
    ['model.embed_tokens.weight', [V, D]],
    ['model.norm.weight', [D]],
  ];
  for (let block = 0; block < blocks; block++) {
    const of = `model.layers.${block}.`;
    for (const norm of ['input_layernorm', 'post_attention_layernorm']) shapes.push([`${of}${norm}.weight`, [D]]);
    for (const kind of ['q', 'k', 'v', 'o']) shapes.push([`${of}self_attn.${kind}_proj.weight`, [D, D]]);
    for (const kind of ['gate', 'up']) shapes.push([`${of}mlp.${kind}_proj.weight`, [F, D]]);
    shapes.push([`${of}mlp.down_proj.weight`, [D, F]]);
  }
  const bytesOf = (shape: readonly number[]): number => 2 * shape.reduce((a, b) => a * b, 1);
  await writeSafetensors(
    join(model, 'model.safetensors'),
    shapes.map(([name, shape]) => ({
      ...{ name, dtype: 'BF16' as const, shape },
      read: async () => new Uint8Array(bytesOf(shape)),
    })),
  );
  return shapes.reduce((sum, [, shape]) => sum + bytesOf(shape), 0);
}

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

/** Peak memory of a living process, in GB. */
const peakOf = ({ pid }: ChildProcess): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1e6;

const log = openSync(at('log'), 'a');
const children: ChildProcess[] = [];
const start = (program: string, words: readonly string[]): ChildProcess => {
  const child = spawn(program, words, { stdio: ['ignore', 'ignore', log] });
  children.push(child);
  return child;
};

try {
  const bytes = await makeModel();
  writeFileSync(at('text.txt'), 'the cat sat on the mat. '.repeat((windows + 2) * length));
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
    const peak = Math.max(...workers.map(peakOf));
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
