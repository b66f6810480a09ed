// What threads cost a decoder on a busy machine, in processor time. The script starts the competing processes itself.
// Contenders take turns: one thread and several, of this build and, with --against, of another one (a directory with
// package.json and dist), which may be older. Each ratio is of one turn; the median counts.
//
//   npm run bench:load -- <model.lw> [--tokens 255 --steps 64 --turns 9 --threads 2 --busy 2 --against <directory>]
//
// A prompt is scored (logits of all its tokens), then some tokens are decoded one by one; first on the machine as it is,
// then with `--busy` processes that compute without end.

import { type ChildProcess, spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { type OpenDecoder, openDecoder } from '#src/decoder';
import { openPacked } from '#src/packed';
import { median } from './median.js';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tokens: { type: 'string', default: '255' },
    steps: { type: 'string', default: '64' },
    turns: { type: 'string', default: '9' },
    threads: { type: 'string', default: '2' },
    busy: { type: 'string', default: '2' },
    against: { type: 'string' },
  },
});
const [model] = positionals;
if (model === undefined) throw new Error('usage: npm run bench:load -- <model.lw>');
const [tokens, steps, threads] = [Number(options.tokens), Number(options.steps), Number(options.threads)];
const prompt = Array.from({ length: tokens }, (_, i) => (i * 7919 + 13) % 1000);

type Build = { openPacked: typeof openPacked; openDecoder: typeof openDecoder };
type Contender = { readonly name: string; readonly decoder: OpenDecoder; readonly sequence: number };

async function contender(name: string, build: Build, count: number): Promise<Contender> {
  const packed = await build.openPacked(model!);
  try {
    const decoder = await build.openDecoder(packed, { threads: count, positions: tokens, ahead: 'never' });
    return { name, decoder, sequence: decoder.open() };
  } finally {
    await packed.close();
  }
}

async function otherBuild(directory: string): Promise<Build> {
  const load = (room: string) => import(pathToFileURL(join(resolve(directory), 'dist', room, 'index.js')).href);
  return { ...(await load('packed')), ...(await load('decoder')) };
}

const builds: (readonly [string, Build])[] = [['', { openPacked, openDecoder }]];
if (options.against !== undefined) builds.push([', the other build', await otherBuild(options.against)]);
const contenders: Contender[] = [];
for (const [name, build] of builds) {
  contenders.push(await contender(`one thread${name}`, build, 1));
  contenders.push(await contender(`${threads} threads${name}`, build, threads));
}

const works = {
  'a scored prompt': async ({ decoder, sequence }: Contender) => {
    decoder.truncate(sequence, 0);
    await decoder.step([{ sequence, tokens: prompt, logits: 'all' }]);
  },
  decoding: async ({ decoder, sequence }: Contender) => {
    decoder.truncate(sequence, tokens - steps);
    for (let i = 0; i < steps; i++) await decoder.step([{ sequence, tokens: [prompt[i]!], logits: 'last' }]);
  },
} as const;

async function measure(name: string, work: (contender: Contender) => Promise<void>): Promise<void> {
  const figures = contenders.map(() => ({ processor: [] as number[], wall: [] as number[] }));
  for (let turn = 0; turn <= Number(options.turns); turn++) {
    for (const [i, one] of contenders.entries()) {
      const [before, began] = [process.cpuUsage(), performance.now()];
      await work(one);
      const { user, system } = process.cpuUsage(before);
      if (turn === 0) continue; // V8 compiles
      figures[i]!.processor.push((user + system) / 1000);
      figures[i]!.wall.push(performance.now() - began);
    }
  }
  console.log(`${name}: medians of ${options.turns} turns; times are those of one thread of this build`);
  for (const [i, { name: who }] of contenders.entries()) {
    const show = (kind: 'processor' | 'wall'): string => {
      const own = figures[i]![kind];
      const times = median(own.map((time, turn) => time / figures[0]![kind][turn]!));
      return `${kind} ${median(own).toFixed(1).padStart(8)} ms, ${times.toFixed(2)} times, best ${Math.min(...own).toFixed(1)}`;
    };
    console.log(`  ${who.padEnd(28)}${show('processor')}   ${show('wall')}`);
  }
}

const competitors: ChildProcess[] = [];
try {
  for (const busy of [0, Number(options.busy)]) {
    for (let i = 0; i < busy; i++) {
      competitors.push(spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
    }
    const state = busy === 0 ? 'nothing competes' : `${busy} processes compete`;
    for (const [name, work] of Object.entries(works)) await measure(`${name}, ${state}`, work);
  }
} finally {
  for (const one of competitors) one.kill('SIGKILL');
  for (const { decoder } of contenders) await decoder.close();
}
