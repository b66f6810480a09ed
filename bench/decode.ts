// Whole-model decoding of one sequence, and prompts of 256 tokens, on a synthetic LLaMA with more than 1 GB of int8 linears
// (bench/synthetic.ts): dense float32 and int8, sparse float32, tiles. Models take turns in groups that fit memory together;
// the tiles of int8 4:16 are in every group, so every ratio is of one group. With --peers, ONNX Runtime in float32 and
// llama.cpp (F16, Q8_0, Q4_0; see bench/peers/) take turns with it likewise.
//
//   npm run bench:decode [-- --json --threads 2 --turns 5 --tokens 32 --ahead always|never --peers --only int8-4:16,…]

import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Contender, describeBenched, describeContender, measureSpeeds, type Speeds } from '#src/api';
import { openDecoder, readPackedModel } from '#src/decoder';
import { describeTensors, openModel } from '#src/model';
import { type PackSettings, packInMemory } from '#src/packed';
import { measurePeers } from './peers.js';
import { repeatBlocks } from './repeat.js';
import { SHAPE, writeSyntheticCheckpoint, type Zeros } from './synthetic.js';

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    peers: { type: 'boolean', default: false },
    threads: { type: 'string', default: String(availableParallelism()) },
    turns: { type: 'string', default: '5' },
    tokens: { type: 'string', default: '32' },
    only: { type: 'string' },
    ahead: { type: 'string', default: 'measure' },
  },
});
const threads = Number(options.threads);
const ahead = options.ahead as 'measure' | 'always' | 'never';
const measuring = { tokens: Number(options.tokens), prompt: 256, turns: Number(options.turns), onProgress: () => {} };

type Entry = { readonly name: string; readonly zeros: Zeros; readonly settings: PackSettings };
const entry = (name: string, zeros: Zeros, values: PackSettings['values'], layout: PackSettings['layout']): Entry => ({
  name,
  zeros,
  settings: { values, layout, head: 'int8' },
});
const NONE: Zeros = { kind: 'none' };
const of16 = (n: number): Zeros => ({ kind: 'n:16', n });
const row = (share: number): Zeros => ({ kind: 'row', share });

const ANCHOR = entry('int8 4:16', of16(4), 'int8', 'tiles');
const GROUPS: readonly (readonly Entry[])[] = [
  [entry('int8 dense', NONE, 'int8', 'dense'), entry('int4 4:16', of16(4), 'int4', 'tiles')],
  [
    entry('int8 8:16', of16(8), 'int8', 'tiles'),
    entry('int4 8:16', of16(8), 'int4', 'tiles'),
    entry('int4 8:16 masks', of16(8), 'int4', 'smallest'),
  ],
  [
    entry('int4 dense', NONE, 'int4', 'dense'),
    entry('int3 dense', NONE, 'int3', 'dense'),
    entry('int2 dense', NONE, 'int2', 'dense'),
  ],
  [
    entry('int8 unstructured 70 %', row(0.7), 'int8', 'auto'),
    entry('int8 unstructured 80 %', row(0.8), 'int8', 'auto'),
  ],
  [entry('f32 dense', NONE, 'f32', 'dense'), entry('f32 unstructured 70 %', row(0.7), 'f32', 'auto')],
];

const scratch = mkdtempSync(join(tmpdir(), 'layerwise-decode-'));
const checkpoints = new Map<string, string>();

/** A checkpoint of one block with these zeros, written once. */
function checkpointWith(zeros: Zeros): string {
  const key = JSON.stringify(zeros);
  const known = checkpoints.get(key);
  if (known !== undefined) return known;
  const dir = join(scratch, `checkpoint-${checkpoints.size}`);
  writeSyntheticCheckpoint(dir, zeros, 1);
  checkpoints.set(key, dir);
  return dir;
}

type Opened = Contender & { readonly benched: ReturnType<typeof describeBenched> };

async function open({ zeros, settings }: Entry): Promise<Opened> {
  const { checkpoint, config, tensorNames } = await openModel(checkpointWith(zeros));
  const block = await packInMemory({ checkpoint, tensors: describeTensors(config, tensorNames) }, settings, () => {});
  const packed = await repeatBlocks(block, SHAPE.blocks);
  const decoder = await openDecoder(packed, { threads, positions: SHAPE.positions, ahead });
  const described = await readPackedModel(packed);
  return {
    ...describeContender(packed, described),
    decoder,
    benched: describeBenched(packed, packed.weightBytes, described),
  };
}

type Ratio = { readonly name: string; readonly decode: number; readonly prefill: number };
const documents: Speeds[] = [];
const ratios: Ratio[] = [];
try {
  const anchor = await open(ANCHOR);
  for (const group of GROUPS) {
    const entries = group.filter(({ name }) => options.only === undefined || options.only.split(',').includes(name));
    if (entries.length === 0) continue;
    const contenders: Contender[] = [anchor];
    for (const one of entries) contenders.push(await open(one));
    const speeds = await measureSpeeds(contenders, measuring);
    for (const [i, { name }] of entries.entries()) {
      ratios.push({
        name,
        decode: speeds.decode[0]!.tokensPerSecond / speeds.decode[i + 1]!.tokensPerSecond,
        prefill: speeds.prefill[0]!.tokensPerSecond / speeds.prefill[i + 1]!.tokensPerSecond,
      });
    }
    documents.push(speeds);
    await Promise.all(contenders.slice(1).map(({ decoder }) => decoder.close()));
    if (!options.json) printGroup(speeds);
  }
  const peers = options.peers ? await measurePeers(anchor, { ...measuring, threads, scratch }) : [];
  await anchor.decoder.close();
  const all = {
    model: anchor.benched,
    threads,
    bandwidthGBs: Math.max(...documents.map(({ bandwidthGBs }) => bandwidthGBs)),
    decode: documents.flatMap(({ decode }, i) => (i === 0 ? decode : decode.slice(1))),
    prefill: documents.flatMap(({ prefill }, i) => (i === 0 ? prefill : prefill.slice(1))),
    /** How many times as fast the int8 tiles of 4:16 are, each in its own group of turns. */
    anchorOver: ratios,
    peers,
  };
  if (options.json) console.log(JSON.stringify(all, undefined, 2));
  else {
    console.log('\nint8 4:16 tiles over:');
    for (const { name, decode, prefill } of ratios) {
      console.log(`  ${name.padEnd(24)} decode ${decode.toFixed(2)}  prefill ${prefill.toFixed(2)}`);
    }
    for (const { name, decode, prefill } of peers) {
      console.log(`  ${name.padEnd(24)} decode ${decode.ratio.toFixed(2)}  prefill ${prefill.ratio.toFixed(2)}`);
    }
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function printGroup({ bandwidthGBs, decode, prefill }: Speeds): void {
  console.log(`bandwidth ${bandwidthGBs.toFixed(1)} GB/s, ${threads} threads`);
  for (const [i, { values, layout, sparsity, tokensPerSecond, bytesPerToken, bandwidthShare }] of decode.entries()) {
    const line = [
      `${values} ${layout} ${(100 * sparsity).toFixed(0)} %`.padEnd(24),
      `${tokensPerSecond.toFixed(1)} tokens/s`.padStart(16),
      `${(bytesPerToken / 1e6).toFixed(0)} MB`.padStart(10),
      `${(100 * bandwidthShare).toFixed(0)} % of bandwidth`.padStart(20),
      `prefill ${prefill[i]!.tokensPerSecond.toFixed(0)} tokens/s`.padStart(22),
    ];
    console.log(line.join(' '));
  }
}
