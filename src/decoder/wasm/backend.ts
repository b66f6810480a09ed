// The backend of WebAssembly kernels: weights, caches and buffers are in the memory of a runner, which is laid out once.

import { createArena } from '../../kernels/portable.js';
import { partOffsets } from '../../packed/portable.js';
import type { DecodeBackend, DecodeSession, Limits, Weights } from '../backend.js';
import type { Program } from '../program.js';
import { type Ahead, chooseAhead } from './ahead.js';
import { type Placement, placeDecoder, writeTables } from './placement.js';
import type { Runner } from './runner.js';

/** The fastest of this many reads counts; single reads vary by half. */
const READS = 4;

/** `start` creates the runner of each session. */
export const createWasmBackend = (start: () => Runner | Promise<Runner>, ahead: Ahead = 'measure'): DecodeBackend => ({
  name: 'wasm',
  open: async (program, weights, limits) => {
    const runner = await start();
    try {
      return await openSession(runner, program, weights, limits, ahead);
    } catch (error) {
      await runner.close();
      throw error;
    }
  },
});

async function openSession(
  runner: Runner,
  program: Program,
  weights: Weights,
  limits: Limits,
  ahead: Ahead,
): Promise<DecodeSession> {
  const { memory, threads } = runner;
  const arena = createArena(memory);
  const bytes = weights.weightBytes;
  const address = arena.take(bytes, 'weights');
  const places = [...weights.tensors.values()].map((entry) => {
    return { name: entry.name, layout: entry.layout, offsets: partOffsets(entry) };
  });
  const placement = placeDecoder(program, arena, { address, places }, { ...limits, threads });
  await weights.readWeightsInto(new Uint8Array(memory.buffer, address, bytes));
  writeTables(program, placement, memory.buffer);
  await runner.prepare(program, placement);
  const choice = chooseAhead(ahead);
  const write = (at: number, numbers: readonly number[]): void =>
    new Int32Array(memory.buffer, at, numbers.length).set(numbers);
  return {
    threads,
    step: async ({ tokens, positions, runs, picks }) => {
      write(placement.tokenIds, tokens);
      write(placement.tokenPositions, positions);
      write(
        placement.tokenPlaces,
        positions.map((position) => position + program.positionOffset),
      );
      write(placement.picks, picks);
      const started = performance.now();
      const step = { tokens: tokens.length, runs, picked: picks.length, ahead: choice.next() };
      await runner.pass(step);
      choice.took(step, performance.now() - started);
      const logits = placement.buffers[program.logits.buffer]!;
      return new Float32Array(memory.buffer, logits, picks.length * program.vocabulary);
    },
    fork: async (from, to, positions) => copyCaches(program, placement, memory.buffer, { from, to, positions }),
    measureBandwidth: async () => {
      const times: number[] = [];
      for (let i = 0; i < READS; i++) times.push(await runner.read({ address, bytes }));
      return bytes / (Math.min(...times) / 1000);
    },
    close: () => runner.close(),
  };
}

function copyCaches(
  { widths, headDim }: Program,
  { caches, positions: room }: Placement,
  buffer: ArrayBufferLike,
  { from, to, positions }: { readonly from: number; readonly to: number; readonly positions: number },
): void {
  const bytes = new Uint8Array(buffer);
  for (const [block, { keys, values }] of caches.entries()) {
    const row = 4 * widths[block]!.kvHeads * headDim;
    for (const cache of [keys, values]) {
      const source = cache + from * room * row;
      bytes.copyWithin(cache + to * room * row, source, source + positions * row);
    }
  }
}
