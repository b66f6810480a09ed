// Peak resident memory against depth, each run in a process of its own.
// prune: LLaMA2-7B's shapes (weights of zeros), 4 and 32 blocks, 8 windows of 512 tokens.
// heal: half of the weights removed, then trained against the dense stream (--loss stream: one half block at a time); hidden 512,
// 4, 16 and 32 blocks, windows of 256 tokens. With --loss kl the optimiser's state is that of all blocks, so it grows by design.
//
//   npm run bench:memory [-- --command prune --blocks 4,32]
//
// 32 blocks of 7B's shapes are a file of 13 GB; the run writes as much again. Use --blocks 4,8 on a small disk.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SENTENCE, writeLlama } from './llama.js';
import { peakOf } from './peak.js';

const { values } = parseArgs({
  options: {
    command: { type: 'string', default: 'prune' },
    blocks: { type: 'string' },
    loss: { type: 'string', default: 'stream' },
    dir: { type: 'string', default: tmpdir() },
  },
});
const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const scratch = mkdtempSync(join(values.dir, 'layerwise-memory-'));
const text = join(scratch, 'text.txt');
const validation = join(scratch, 'validation.txt');

type Measured = { readonly peak: number; readonly seconds: number };

/** Runs a command, and looks at its memory ten times a second. */
async function layerwise(words: readonly string[]): Promise<Measured> {
  const began = performance.now();
  const child = spawn(process.execPath, [main, ...words], { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = once(child, 'exit');
  let peak = 0;
  while (child.exitCode === null && child.signalCode === null) {
    peak = Math.max(peak, peakOf(child));
    await Promise.race([ended, sleep(100)]);
  }
  if (child.exitCode !== 0) throw new Error(`${words[0]} ended with ${child.exitCode ?? child.signalCode}`);
  return { peak, seconds: (performance.now() - began) / 1000 };
}

async function measurePrune(blocks: number, model: string, out: string): Promise<Measured> {
  await writeLlama(model, { hidden: 4096, intermediate: 11_008, heads: 32, blocks, positions: 4096 }, 'zeros');
  return await layerwise(
    ['prune', model, '--sparsity', '0.5', '--beta', '0.001', '--calibration', text]
      .concat(['--calibration-samples', '8', '--calibration-order', 'sequential', '--sequence-length', '512'])
      .concat(['--out', out]),
  );
}

async function measureHeal(blocks: number, model: string, out: string): Promise<Measured> {
  await writeLlama(model, { hidden: 512, intermediate: 1376, heads: 8, blocks, positions: 512 }, 'random');
  const pruned = `${out}-pruned`;
  await layerwise(
    ['prune', model, '--sparsity', '0.5', '--allocation', 'uniform', '--criterion', 'magnitude', '--out', pruned] //
      .concat(['--calibration', text, '--calibration-samples', '1', '--sequence-length', '256']),
  );
  const measured = await layerwise(
    ['heal', pruned, '--dense', model, '--text', text, '--validation', validation, '--loss', values.loss].concat([
      '--tokens',
      '8192',
      '--sequence-length',
      '256',
      '--greedy-tokens',
      '0',
      '--out',
      out,
    ]),
  );
  rmSync(pruned, { recursive: true });
  return measured;
}

try {
  writeFileSync(text, SENTENCE.repeat(2000));
  writeFileSync(validation, `so ${SENTENCE}`.repeat(100));
  const isHeal = values.command === 'heal';
  for (const blocks of (values.blocks ?? (isHeal ? '4,16,32' : '4,32')).split(',').map(Number)) {
    const [model, out] = [join(scratch, `blocks-${blocks}`), join(scratch, `out-${blocks}`)];
    const { peak, seconds } = await (isHeal ? measureHeal : measurePrune)(blocks, model, out);
    console.log(JSON.stringify({ command: values.command, blocks, peakGigabytes: peak / 1e9, seconds }));
    for (const dir of [out, model]) rmSync(dir, { recursive: true });
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
