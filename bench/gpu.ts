// What decoding on the GPU costs: linears of one token in each layout (GB/s, and speed against dense f16, int8 and int4 of the
// same turn), a dispatch (µs), and whole models (tokens/s). Layouts take turns; a turn goes through copies of one linear
// that fit no cache; the median counts. Times are from submission to completion, so a linear's have one submission in them.
//
//   npm run bench:gpu [-- --rows 4096 --columns 4096 --megabytes 256 --turns 7 --tokens 32] [model.lw …]
//
// f16 is here alone: no .lw file has it. Its kernel is the plainest that reads 16 bytes a thread.

import { parseArgs } from 'node:util';
import { createRng } from '#src/base';
import { openDecoder } from '#src/decoder';
import {
  type Gpu,
  head,
  KERNEL_DATA,
  kernelLayout,
  linearGroups,
  linearKernel,
  main,
  openGpuInNode,
  PARAMETER_BYTES,
  parameterWords,
  USAGE,
} from '#src/gpu';
import {
  activationBytes,
  type EncodedLinear,
  encodeDense,
  encodeFixedTiles,
  encodeMaskedTiles,
  encodeSortedTiles,
  type IntegerValues,
} from '#src/layouts';
import { openPacked } from '#src/packed';
import { randomMatrix } from './matrix.js';
import { median } from './median.js';

const { values: options, positionals: models } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: 'string', default: '4096' },
    columns: { type: 'string', default: '4096' },
    megabytes: { type: 'string', default: '256' },
    turns: { type: 'string', default: '7' },
    tokens: { type: 'string', default: '32' },
  },
});
const [rows, columns, turns] = [Number(options.rows), Number(options.columns), Number(options.turns)];
const gpu: Gpu = await openGpuInNode();
const { device } = gpu;
const rng = createRng(1);
const print = (line: string): void => void process.stdout.write(`${line}\n`);
print(
  `${gpu.name}, ${gpu.workgroup} threads a workgroup; ${rows} x ${columns}, ${options.megabytes} MB a turn, ${turns} turns`,
);

const matrix = (values: IntegerValues, kept: number) => randomMatrix(rng, { rows, columns, values, kept });

/** Zeros anywhere: this share of a row's weights stays. */
function scattered(values: IntegerValues, share: number) {
  const whole = matrix(values, 16);
  return { ...whole, q: whole.q.map((q) => (rng.uniform() < share ? q : 0)) };
}

type Contender = {
  readonly name: string;
  readonly code: string;
  readonly parts: readonly Uint8Array[];
  readonly layout?: EncodedLinear['layout'];
};

const ours = (name: string, encoded: EncodedLinear): Contender => ({
  name,
  layout: encoded.layout,
  parts: encoded.parts,
  code: linearKernel({
    layouts: [encoded.layout],
    threads: gpu.workgroup,
    tokens: 1,
    bias: false,
    adds: false,
    expert: false,
  }).code(),
});

/** y = W·x of halves, row-major; eight rows a workgroup. */
function halves(): Contender {
  const T = gpu.workgroup;
  return {
    name: 'f16 dense',
    parts: [new Uint8Array(rows * columns * 2).map(() => 0x2c)],
    code: `${head('vec4<u32>')}var<workgroup> part: array<f32, ${T}>;
${main(T)}
  let row = min(wg.x * 8u + (lid & 7u), ${rows - 1}u);
  var acc = 0f;
  for (var k = lid >> 3u; k < ${Math.floor(columns / 8)}u; k += ${T / 8}u) {
    let w = W[row * ${Math.floor(columns / 8)}u + k];
    let x = p.x + 8u * k;
    acc += dot(vec4f(unpack2x16float(w.x), unpack2x16float(w.y)), vec4f(F(x), F(x + 1u), F(x + 2u), F(x + 3u)));
    acc += dot(vec4f(unpack2x16float(w.z), unpack2x16float(w.w)), vec4f(F(x + 4u), F(x + 5u), F(x + 6u), F(x + 7u)));
  }
  part[lid] = acc;
  workgroupBarrier();
  for (var s = ${T / 2}u; s >= 8u; s = s >> 1u) {
    if (lid < s) { part[lid] += part[lid + s]; }
    workgroupBarrier();
  }
  if (lid < 8u && wg.x * 8u + lid < ${rows}u) { G(p.y + wg.x * 8u + lid, part[lid]); }
}`,
  };
}

const align = (n: number): number => Math.ceil(n / 64) * 64;
const padded = activationBytes(columns);
/** Activations in every form behind one another, then y. */
const [X, Q, WIDE, SCALE, Y] = [64, 64 + padded, 64 + 2 * padded, 64 + 3 * padded, 128 + 3 * padded];
const arenaWords = Y + align(rows);

/** Copies of a linear on the device, and a run of all of them that ends when they are done: its milliseconds. */
async function prepare({ code, parts, layout }: Contender) {
  let end = 0;
  const at = parts.map((part) => {
    const begin = end;
    end = align(begin + part.length);
    return begin / 4;
  });
  const bytes = end;
  const copies = Math.max(1, Math.round((Number(options.megabytes) * 1e6) / bytes));
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = at;
  const strides = { packedStride: padded / 4, wideStride: padded };
  const places = {
    ...{ w0, w1, w2, w3, s: at.at(-1)!, x: X, xs: columns, packed: Q, turned: Q, wide: WIDE, ...strides },
    ...{ scales: SCALE, y: Y, ys: rows, count: 0 },
  };
  const arena = await gpu.allocate(4 * arenaWords, KERNEL_DATA, 'activations');
  const numbers = Uint32Array.from({ length: arenaWords }, (_, i) =>
    i < WIDE ? rng.uint32() & 0x3f7f3f7f : rng.below(256),
  );
  numbers.set([1, 0]);
  device.queue.writeBuffer(arena, 0, numbers.buffer);
  const cache = await gpu.allocate(16, KERNEL_DATA, 'nothing');
  const parameters = await gpu.allocate(PARAMETER_BYTES, USAGE.uniform | USAGE.copyTo, 'parameters');
  device.queue.writeBuffer(parameters, 0, parameterWords(places).buffer);
  const module = device.createShaderModule({ code });
  const layouts = kernelLayout(device);
  const compute = { module, entryPoint: 'main' };
  const pipeline = await gpu.checked(() => device.createComputePipelineAsync({ layout: layouts.pipeline, compute }));
  const groups: ReturnType<typeof device.createBindGroup>[] = [];
  for (let i = 0; i < copies; i++) {
    const weights = await gpu.allocate(bytes, KERNEL_DATA, 'weights');
    for (const [j, part] of parts.entries()) {
      const whole = new Uint8Array(align(part.length));
      whole.set(part);
      device.queue.writeBuffer(weights, 4 * at[j]!, whole.buffer);
    }
    const entries = [weights, arena, cache, parameters].map((buffer, binding) => ({ binding, resource: { buffer } }));
    groups.push(device.createBindGroup({ layout: layouts.group, entries }));
  }
  await gpu.finish();
  const workgroups = layout ? linearGroups(layout) : Math.ceil(rows / 8);
  const run = async (times = 1): Promise<{ all: number; encode: number }> => {
    const began = performance.now();
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < times; i++) {
      for (const group of groups) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(times > 1 ? 1 : workgroups);
      }
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
    const encode = performance.now() - began;
    await gpu.finish();
    return { all: performance.now() - began, encode };
  };
  await run();
  return { run, copies, bytes };
}

const contenders: readonly Contender[] = [
  halves(),
  ours('int8 dense', encodeDense(matrix('int8', 16))),
  ours('int4 dense', encodeDense(matrix('int4', 16))),
  ours('int3 dense', encodeDense(matrix('int3', 16))),
  ours('int2 dense', encodeDense(matrix('int2', 16))),
  ours('int8 4:16', encodeFixedTiles(matrix('int8', 4), 4)),
  ours('int4 4:16', encodeFixedTiles(matrix('int4', 4), 4)),
  ours('int4 8:16 masks', encodeMaskedTiles(matrix('int4', 8), 8)),
  ours('int8 70 % anywhere', encodeSortedTiles(scattered('int8', 0.3))),
  ours('int4 70 % anywhere', encodeSortedTiles(scattered('int4', 0.3))),
];
const prepared: {
  name: string;
  run: Awaited<ReturnType<typeof prepare>>['run'];
  copies: number;
  bytes: number;
  times: number[];
}[] = [];
for (const contender of contenders) prepared.push({ name: contender.name, ...(await prepare(contender)), times: [] });
for (let turn = 0; turn < turns; turn++) {
  for (const one of prepared) one.times.push((await one.run()).all / one.copies);
}
/** How many times as fast as another, in the median turn. */
const ratio = (one: readonly number[], name: string): string =>
  median(prepared.find((other) => other.name === name)!.times.map((time, turn) => time / one[turn]!)).toFixed(2);
print('layout               bits/weight     µs     GB/s   x f16  x int8  x int4');
for (const { name, bytes, times } of prepared) {
  const ms = median(times);
  const numbers = [((8 * bytes) / rows / columns).toFixed(2).padStart(11), (1000 * ms).toFixed(0).padStart(7)];
  const ratios = ['f16 dense', 'int8 dense', 'int4 dense'].map((other) => ratio(times, other).padStart(7));
  print([name.padEnd(20), ...numbers, (bytes / ms / 1e6).toFixed(2).padStart(8), ...ratios].join(' '));
}

// Dispatches of one workgroup that wait for one another.
const first = prepared[1]!;
const many = Math.ceil(250 / first.copies);
const chains: { all: number; encode: number }[] = [];
for (let turn = 0; turn < turns; turn++) chains.push(await first.run(Math.max(2, many)));
const count = Math.max(2, many) * first.copies;
const microseconds = (of: 'all' | 'encode'): string =>
  ((1000 * median(chains.map((one) => one[of]))) / count).toFixed(1);
print(
  `a dispatch: ${microseconds('encode')} µs of this thread, ${microseconds('all')} µs in all (${count} in a row, one workgroup each)`,
);
gpu.close();

for (const path of models) {
  const packed = await openPacked(path);
  try {
    const decoder = await openDecoder(packed, { threads: 1, device: 'webgpu' });
    const sequence = decoder.open();
    const tokens = Number(options.tokens);
    const step = async (token: number): Promise<number> => {
      const [logits] = await decoder.step([{ sequence, tokens: [token], logits: 'last' }]);
      return logits!.reduce((best, value, i) => (value > logits![best]! ? i : best), 0);
    };
    /** Tokens a second after the first, which makes pipelines. */
    const rate = async (write: (count: number) => Promise<void>): Promise<string> => {
      decoder.truncate(sequence, 0);
      await write(1);
      const began = performance.now();
      await write(tokens - 1);
      return (((tokens - 1) * 1000) / (performance.now() - began)).toFixed(1);
    };
    let token = 1;
    const read = await rate(async (count) => {
      for (let i = 0; i < count; i++) token = await step(token);
    });
    const ahead = await rate(async (count) => {
      const writing = decoder.greedy?.write([{ sequence, token: 1 }], count);
      while (writing && !(await writing.next()).done);
    });
    print(
      `${path}: ${read} tokens/s with logits${decoder.greedy ? `, ${ahead} written ahead` : ''}; ${decoder.info.dispatches} dispatches a token, ${packed.weightBytes} bytes of weights`,
    );
    await decoder.close();
  } finally {
    await packed.close();
  }
}
