// How fast linears of few bits multiply one token with weights from memory, on one thread, in processor time: for choosing
// between kernels on a machine that does other work too. Layouts take turns; a turn goes through copies of one linear that
// fit no cache. Each ratio is of one turn, to dense int4; the median counts. On a quiet machine, a whole model says more
// (bench:decode).
//
//   npm run bench:few [-- --rows 2048 --columns 2048 --megabytes 160 --turns 21 --only int2 --plain --ahead]
//
// With --ahead, kernels ask for memory ahead (src/decoder/wasm/ahead.ts).

import { parseArgs } from 'node:util';
import { createRng } from '#src/base';
import {
  createArena,
  createRuntimeKernels,
  hasByteDots,
  readRuntimeModule,
  reserveMemory,
  sumsBytes,
} from '#src/kernels';
import {
  activationBytes,
  type EncodedLinear,
  encodeDense,
  encodeFixedTiles,
  encodeMaskedTiles,
  type IntegerValues,
  layoutBytes,
} from '#src/layouts';
import { randomMatrix } from './matrix.js';
import { median } from './median.js';

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '2048' },
    columns: { type: 'string', default: '2048' },
    megabytes: { type: 'string', default: '160' },
    turns: { type: 'string', default: '21' },
    only: { type: 'string', default: '' },
    plain: { type: 'boolean', default: false },
    ahead: { type: 'boolean', default: false },
  },
});
const [rows, columns] = [Number(options.rows), Number(options.columns)];
const relaxed = hasByteDots() && !options.plain;
const memory = reserveMemory(16, true);
const kernels = createRuntimeKernels(readRuntimeModule(relaxed), memory);
kernels.askAhead(options.ahead);
const arena = createArena(memory);
const rng = createRng(1);

const matrix = (values: IntegerValues, kept = 16) => randomMatrix(rng, { rows, columns, values, kept });

type Contender = { readonly name: string; readonly bits: number; readonly weights: number; run(): void };

function contender(name: string, make: () => EncodedLinear): readonly Contender[] {
  if (name !== 'int4 dense' && !options.only.split(',').some((only) => name.includes(only))) return [];
  const encoded = make();
  const bytes = layoutBytes(encoded.layout);
  const copies = Array.from({ length: Math.ceil((Number(options.megabytes) * 1e6) / bytes) }, () => {
    const parts = encoded.parts.map((part) => {
      const address = arena.take(part.length, name);
      new Uint8Array(memory.buffer, address, part.length).set(part);
      return address;
    });
    return kernels.bindLinear(encoded.layout, parts);
  });
  const run = (): void => {
    for (const linear of copies) linear.multiply({ x, y, tokens: 1, from: 0, to: linear.groups, sums });
  };
  return [{ name, bits: (8 * bytes) / (rows * columns), weights: rows * columns * copies.length, run }];
}

const stride = activationBytes(columns);
const x = { address: arena.take(stride, 'x'), stride, scales: arena.take(64, 'scale') };
const y = { address: arena.take(4 * rows, 'y'), stride: 4 * rows };
const sums = arena.take(sumsBytes(columns, 1), 'sums');
new Int8Array(memory.buffer, x.address, columns).set(Int8Array.from({ length: columns }, () => rng.below(255) - 127));
new Float32Array(memory.buffer, x.scales, 1).fill(0.01);

const contenders = [
  ...contender('int4 dense', () => encodeDense(matrix('int4'))),
  ...contender('int8 dense', () => encodeDense(matrix('int8'))),
  ...contender('int3 dense', () => encodeDense(matrix('int3'))),
  ...contender('int2 dense', () => encodeDense(matrix('int2'))),
  ...contender('int4 8:16', () => encodeFixedTiles(matrix('int4', 8))),
  ...contender('int4 8:16 masks', () => encodeMaskedTiles(matrix('int4', 8))),
];
const seconds = contenders.map((): number[] => []);
for (let turn = 0; turn <= Number(options.turns); turn++) {
  for (const [i, { run }] of contenders.entries()) {
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    if (turn > 0) seconds[i]!.push((user + system) / 1e6);
  }
}
console.log(`${rows} x ${columns}, one thread, ${relaxed ? 'relaxed SIMD' : 'no relaxed SIMD'}, processor time`);
for (const [i, { name, bits, weights }] of contenders.entries()) {
  const rates = seconds[i]!.map((time) => weights / time / 1e9);
  const ratios = rates.map((rate, turn) => (rate * seconds[0]![turn]! * 1e9) / contenders[0]!.weights);
  const line = [
    name.padEnd(14),
    `${median(rates).toFixed(1)} G weights/s`.padStart(18),
    `${bits.toFixed(3)} bits a weight`.padStart(22),
    `${median(ratios).toFixed(2)} times int4 dense`.padStart(24),
  ];
  console.log(line.join(''));
}
