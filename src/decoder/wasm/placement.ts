// Places everything a decoder needs in the shared memory: weights, caches of keys and values, the buffers of a pass,
// and each thread's scratch. Addresses are in bytes. The memory is laid out once, when a model is opened.

import { type Arena, scoresBytes, sumsBytes } from '../../kernels/portable.js';
import { activationBytes, type LinearLayout } from '../../layouts/portable.js';
import { ropeTables } from '../../model/portable.js';
import type { Limits, StepRun } from '../backend.js';
import type { Program } from '../program.js';

/** Where everything is in the shared memory, in bytes. */
export type Placement = {
  /** The limits of a pass: its tokens, and its tokens with logits. */
  readonly tokens: number;
  readonly picked: number;
  readonly buffers: readonly number[];
  readonly quantised: readonly { readonly address: number; readonly scales: number; readonly stride: number }[];
  readonly tensors: Readonly<Record<string, { readonly layout: LinearLayout; readonly parts: readonly number[] }>>;
  /** For each block, float32 [sequences, positions, kvHeads · headDim]. */
  readonly caches: readonly { readonly keys: number; readonly values: number }[];
  readonly positions: number;
  /** For each rotation, float32 [positions, rotated / 2]. */
  readonly ropes: readonly { readonly cosines: number; readonly sines: number }[];
  /** int32 for each token of a pass: its id, its position, its row in the table of positions; then the rows picked. */
  readonly tokenIds: number;
  readonly tokenPositions: number;
  readonly tokenPlaces: number;
  readonly picks: number;
  /** float32 ones, as many as the widest norm has numbers. */
  readonly ones: number;
  /** For each thread. */
  readonly scratch: readonly { readonly sums: number; readonly scores: number }[];
};

export type Step = {
  readonly tokens: number;
  readonly runs: readonly StepRun[];
  readonly picked: number;
  /** Whether kernels ask for memory ahead (ahead.ts). */
  readonly ahead: boolean;
};

/** A tensor's layout, and the offsets of its parts from the start of the weights. */
export type WeightPlace = { readonly name: string; readonly layout: LinearLayout; readonly offsets: readonly number[] };

/** Reserves all memory except the weights', which start at `weights`. @throws ResourceError E_RESOURCE_MEMORY */
export function placeDecoder(
  program: Program,
  arena: Arena,
  weights: { readonly address: number; readonly places: readonly WeightPlace[] },
  options: Limits & { readonly threads: number },
): Placement {
  const { tokens, picked, sequences, positions, threads } = options;
  const rowsOf = (index: number, head: number): number => (index < head ? tokens : picked);
  const most = Math.max(tokens, picked);
  const widest = program.quantised.reduce((columns, { width }) => Math.max(columns, width), 0);
  const mostRows = program.quantised.reduce((rows, { perToken }) => Math.max(rows, most * perToken), 0);
  return {
    tokens,
    picked,
    buffers: program.buffers.map(({ width, perToken }, i) =>
      arena.take(4 * width * perToken * rowsOf(i, program.headBuffers), 'activations'),
    ),
    quantised: program.quantised.map(({ width, perToken }, i) => {
      const rows = perToken * rowsOf(i, program.headQuantised);
      const stride = activationBytes(width);
      const address = arena.take(stride * rows, 'quantised activations');
      return { address, stride, scales: arena.take(4 * rows, 'scales of activations') };
    }),
    tensors: Object.fromEntries(
      weights.places.map(({ name, layout, offsets }) => [
        name,
        { layout, parts: offsets.map((offset) => weights.address + offset) },
      ]),
    ),
    caches: program.widths.map(({ kvHeads }) => {
      const bytes = 4 * sequences * positions * kvHeads * program.headDim;
      return {
        keys: arena.take(bytes, `keys of ${sequences} sequences of ${positions} positions`),
        values: arena.take(bytes, `values of ${sequences} sequences of ${positions} positions`),
      };
    }),
    positions,
    ropes: program.ropes.map(({ dims }) => ({
      cosines: arena.take(2 * positions * dims, 'rotary tables'),
      sines: arena.take(2 * positions * dims, 'rotary tables'),
    })),
    tokenIds: arena.take(4 * most, 'tokens'),
    tokenPositions: arena.take(4 * most, 'positions'),
    tokenPlaces: arena.take(4 * most, 'positions'),
    picks: arena.take(4 * most, 'picks'),
    ones: arena.take(4 * program.buffers[0]!.width, 'ones'),
    scratch: Array.from({ length: threads }, () => ({
      sums: arena.take(sumsBytes(widest, mostRows), 'sums'),
      scores: arena.take(scoresBytes(positions), 'scores'),
    })),
  };
}

/**
 * Writes the constants: ones and rotary tables. Adds 1 to norm weights that are stored minus one. Rotations that depend
 * on a sequence's length (longrope) use the longest length the decoder was opened for, because keys are kept.
 */
export function writeTables(program: Program, placement: Placement, buffer: ArrayBufferLike): void {
  new Float32Array(buffer, placement.ones, program.buffers[0]!.width).fill(1);
  for (const [i, rope] of program.ropes.entries()) {
    const { cos, sin } = ropeTables(rope, placement.positions);
    new Float32Array(buffer, placement.ropes[i]!.cosines, cos.length).set(cos);
    new Float32Array(buffer, placement.ropes[i]!.sines, sin.length).set(sin);
  }
  for (const name of program.storedMinusOne) {
    const { layout, parts } = placement.tensors[name]!;
    const weights = new Float32Array(buffer, parts[0]!, layout.columns);
    for (let i = 0; i < weights.length; i++) weights[i]! += 1;
  }
}
