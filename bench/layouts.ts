// What one thread makes of each layout of a linear. One token: weights a second, bytes a second, nanoseconds a tile; the
// choice of a layout (src/packed/choose.ts) stands on these numbers. Then several tokens in one call, as in prompts and
// batches: weights a second, times tokens. Layouts take turns, and each has its best turn counted, which is what other work
// on the machine disturbs least.
//
//   npm run bench:layouts [-- --rows 256 --columns 1024 --turns 12 --tokens 2,4,32,128 --only 4:16 --plain]
//
// --plain: without relaxed SIMD, also where the engine has it.

import { parseArgs } from 'node:util';
import { createRng } from '#src/base';
import {
  type BoundLinear,
  createArena,
  createRuntimeKernels,
  createRuntimeMemory,
  hasByteDots,
  readRuntimeModule,
  sumsBytes,
} from '#src/kernels';
import {
  activationBytes,
  countSlots,
  type EncodedLinear,
  encodeDense,
  encodeDenseFloat,
  encodeFixedTiles,
  encodeMaskedTiles,
  encodeRows,
  encodeSortedTiles,
  type IntegerValues,
  layoutBytes,
  type QuantisedMatrix,
  RANGES,
  SCALE_GROUP,
} from '#src/layouts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '256' },
    columns: { type: 'string', default: '1024' },
    turns: { type: 'string', default: '12' },
    tokens: { type: 'string', default: '2,4,32,128' },
    only: { type: 'string', default: '' },
    plain: { type: 'boolean', default: false },
  },
});
const [rows, columns, turns] = [Number(values.rows), Number(values.columns), Number(values.turns)];
const weights = rows * columns;
const companies = [1, ...values.tokens.split(',').map(Number)];
const most = Math.max(...companies);

const memory = createRuntimeMemory(
  Math.ceil((weights * 60 + most * 8 * (rows + columns) + sumsBytes(columns, most) + (1 << 24)) / 65536),
  true,
);
const relaxed = hasByteDots() && !values.plain;
const kernels = createRuntimeKernels(readRuntimeModule(relaxed), memory);
const arena = createArena(memory);
const take = (bytes: number): number => arena.take(bytes, 'a bench');

const rng = createRng(0);
const random = (): number => rng.uniform() - 0.5;
const x = { address: take(4 * columns * most), stride: 4 * columns };
const stride = activationBytes(columns);
const quantised = { address: take(stride * most), stride, scales: take(4 * most) };
const y = { address: take(4 * rows * most + 64), stride: 4 * rows };
const sums = take(sumsBytes(columns, most));
new Float32Array(memory.buffer, x.address, columns * most).set(Float32Array.from({ length: columns * most }, random));
kernels.quantise({ x, y: quantised, count: columns, from: 0, to: most });

const value = (high = 7): number => 1 + rng.below(high);
const unstructured = (zeros: number, high?: number): Int8Array =>
  Int8Array.from({ length: weights }, () => (rng.uniform() < zeros ? 0 : value(high)));
function keep(n: number): Int8Array {
  const q = new Int8Array(weights);
  for (let first = 0; first < weights; first += 16) {
    const places = Array.from({ length: 16 }, (_, i) => i);
    for (let i = 0; i < n; i++) q[first + places.splice(rng.below(places.length), 1)[0]!] = value();
  }
  return q;
}
function matrix(kind: IntegerValues, q: Int8Array): QuantisedMatrix {
  const scales = new Float32Array(kind === 'int8' ? rows : rows * Math.ceil(columns / SCALE_GROUP)).fill(0.5);
  return { rows, columns, values: kind, q, scales };
}

type Case = { readonly what: string; readonly linear: BoundLinear; readonly bytes: number; readonly seconds: number[] };
const cases: Case[] = [];
function add(what: string, encoded: EncodedLinear): void {
  if (!what.includes(values.only)) return;
  const parts = encoded.parts.map((part) => {
    const address = take(part.length);
    new Uint8Array(memory.buffer).set(part, address);
    return address;
  });
  const linear = kernels.bindLinear(encoded.layout, parts);
  cases.push({
    what,
    linear,
    bytes: layoutBytes(encoded.layout),
    seconds: companies.map(() => Number.POSITIVE_INFINITY),
  });
}

for (const kind of ['int8', 'int4'] as const) {
  add(`${kind} dense`, encodeDense(matrix(kind, unstructured(0))));
  for (const n of [1, 2, 3, 4, 5, 6, 8, 12, 16]) add(`${kind} ${n}:16`, encodeFixedTiles(matrix(kind, keep(n)), n));
  if (kind === 'int4') for (const n of [6, 8]) add(`int4 ${n}:16 masks`, encodeMaskedTiles(matrix(kind, keep(n)), n));
  for (const zeros of [0.5, 0.7, 0.9]) {
    const sparse = matrix(kind, unstructured(zeros));
    const slots = countSlots(sparse);
    const mean = slots.reduce((sum, n) => sum + n, 0) / slots.length;
    add(`${kind} sorted, ${100 * zeros} % zeros, ${mean.toFixed(1)} slots a tile`, encodeSortedTiles(sparse));
  }
}
for (const kind of ['int3', 'int2'] as const)
  add(`${kind} dense`, encodeDense(matrix(kind, unstructured(0, RANGES[kind][1]))));
add('f32 dense', encodeDenseFloat({ rows, columns, data: Float32Array.from({ length: weights }, random) }));
for (const zeros of [0.5, 0.7, 0.9]) {
  add(`f32 rows, ${100 * zeros} % zeros`, encodeRows({ rows, columns, data: Float32Array.from(unstructured(zeros)) }));
}

/** Row groups in one call, so that V8 has the loop compiled in its second tier soon. */
const GROUPS = 16;
function multiply({ linear }: Case, tokens: number): void {
  for (let from = 0; from < linear.groups; from += GROUPS) {
    const to = Math.min(linear.groups, from + GROUPS);
    linear.multiply({ x: linear.quantised ? quantised : x, y, tokens, from, to, sums });
  }
}

for (let turn = 0; turn < turns; turn++) {
  for (const one of cases) {
    for (const [i, tokens] of companies.entries()) {
      const repeats = Math.max(1, Math.round(2e7 / weights / tokens));
      const began = performance.now();
      for (let left = repeats; left > 0; left--) multiply(one, tokens);
      one.seconds[i] = Math.min(one.seconds[i]!, (performance.now() - began) / 1000 / repeats);
    }
  }
}
const tiles = Math.ceil(rows / 8) * Math.ceil(columns / 16);
const column = (number: number, digits: number): string => number.toFixed(digits).padStart(7);
console.log(
  `${rows} × ${columns}, one thread, ${relaxed ? 'relaxed SIMD, ' : ''}best of ${turns} turns; the last columns: G weights/s by tokens at once`,
);
console.log(
  `${''.padEnd(84)}${companies
    .slice(1)
    .map((n) => column(n, 0))
    .join('')}`,
);
for (const { what, bytes, seconds } of cases) {
  const [alone] = seconds as [number];
  const rates = seconds.map((time, i) => column((weights * companies[i]!) / time / 1e9, 1));
  console.log(
    `${what.padEnd(45)}${rates[0]} G weights/s${column(bytes / alone / 1e9, 1)} GB/s${column((alone / tiles) * 1e9, 2)} ns a tile${rates.slice(1).join('')}`,
  );
}
