// What binding an operation needs and gives; places of values, and a thread's share of things.

import type { LinearInput, Range, Rows, RuntimeKernels } from '../kernels/index.js';
import type { Placement, Step } from './placement.js';
import type { Operation, Program, Value } from './program.js';
import type { Routes } from './routes.js';

/**
 * How threads divide an operation: `routed` by the rows of experts, `all` not at all; `mixed` where a buffer was written in
 * two ways.
 */
export type Share = 'tokens' | 'routed' | 'rows' | 'heads' | 'columns' | 'all' | 'mixed';

/** An operation of one thread: its run does that thread's share. */
export type BoundOperation = {
  readonly reads: readonly string[];
  readonly writes: readonly string[];
  readonly share: Share;
  readonly run: (step: Step) => void;
};

export type Binding = {
  readonly program: Program;
  readonly placement: Placement;
  readonly kernels: RuntimeKernels;
  readonly thread: { readonly index: number; readonly count: number };
  /** Numbers of the shared memory. */
  readonly floats: (address: number, length: number) => Float32Array;
  /** Whether rows are a pass's tokens or those picked of them. */
  readonly space: 'tokens' | 'picked';
  /** Whether there are at least as many rows as threads. */
  readonly wide: boolean;
  readonly block: number;
  /** Where the tokens of a pass go, in a block with experts; the thread's own, of which all threads have the same. */
  readonly routes: Routes | undefined;
};

export type OperationOf<K extends Operation['kind']> = Operation & { readonly kind: K };

export const bufferName = ({ buffer }: Value): string => `buffer ${buffer}`;
export const integersName = (index: number): string => `quantised ${index}`;

export function rowsOf({ program, placement }: Binding, { buffer, offset }: Value): Rows {
  return { address: placement.buffers[buffer]! + 4 * offset, stride: 4 * program.buffers[buffer]!.width };
}

/** The same rows from a later column on. */
export const moved = ({ address, stride }: Rows, numbers: number): Rows => ({ address: address + 4 * numbers, stride });

/** The same rows from a later one on. */
export const rowsAfter = <R extends LinearInput>(rows: R, count: number): R => ({
  ...rows,
  address: rows.address + count * rows.stride,
  ...(rows.scales === undefined ? {} : { scales: rows.scales + 4 * count }),
});

/** How many rows of a value a step has where the operation stands. */
export const rowCount = ({ space }: Binding, step: Step, { routed = 1 }: Value): number =>
  routed * (space === 'tokens' ? step.tokens : step.picked);

/** How threads divide an operation by the rows of a value. */
export const rowShare = ({ routed }: Value): Share => (routed === undefined ? 'tokens' : 'routed');

/** A thread's share of `total` things, in whole units. */
export function shareOf(total: number, { thread }: Pick<Binding, 'thread'>, unit = 1): Range {
  const units = Math.ceil(total / unit);
  const edge = (index: number): number => Math.min(total, Math.floor((units * index) / thread.count) * unit);
  return { from: edge(thread.index), to: edge(thread.index + 1) };
}

/** A call with a range that is set anew each time: making an object for it would take longer than a small kernel runs. */
export function ranged<Call extends object>(call: Call): (range: Range) => Call & Range {
  const own = { ...call, from: 0, to: 0 };
  return ({ from, to }) => {
    own.from = from;
    own.to = to;
    return own;
  };
}
