// The input and result of binding an operation, addresses of values, and a thread's share of the work.

import type { LinearInput, Range, Rows, RuntimeKernels } from '../../kernels/index.js';
import type { Operation, Program, Value } from '../program.js';
import type { Placement, Step } from './placement.js';
import type { Routes } from './routes.js';

/**
 * How threads divide an operation: `routed` by the rows of experts, `all` not at all (every thread does all of it);
 * `mixed` where a buffer was written in two ways.
 */
export type Share = 'tokens' | 'routed' | 'rows' | 'heads' | 'columns' | 'all' | 'mixed';

/** An operation of one thread. `run` does that thread's share. */
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
  /** A view of floats in the shared memory. */
  readonly floats: (address: number, length: number) => Float32Array;
  /** Whether rows are the tokens of a pass, or only those picked for logits. */
  readonly space: 'tokens' | 'picked';
  /** Whether there are at least as many rows as threads. */
  readonly wide: boolean;
  readonly block: number;
  /** The routes of a pass's tokens, in a block with experts. Each thread has its own copy; all are equal. */
  readonly routes: Routes | undefined;
};

export type OperationOf<K extends Operation['kind']> = Operation & { readonly kind: K };

export const bufferName = ({ buffer }: Value): string => `buffer ${buffer}`;
export const integersName = (index: number): string => `quantised ${index}`;

export function rowsOf({ program, placement }: Binding, { buffer, offset }: Value): Rows {
  return { address: placement.buffers[buffer]! + 4 * offset, stride: 4 * program.buffers[buffer]!.width };
}

/** The same rows, starting at a later column. */
export const moved = ({ address, stride }: Rows, numbers: number): Rows => ({ address: address + 4 * numbers, stride });

/** The same rows, starting at a later row. */
export const rowsAfter = <R extends LinearInput>(rows: R, count: number): R => ({
  ...rows,
  address: rows.address + count * rows.stride,
  ...(rows.scales === undefined ? {} : { scales: rows.scales + 4 * count }),
});

/** How many rows a value has in a step, at this operation. */
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

/** A call object whose range is set for each run. Creating an object each time would take longer than a small kernel. */
export function ranged<Call extends object>(call: Call): (range: Range) => Call & Range {
  const own = { ...call, from: 0, to: 0 };
  return ({ from, to }) => {
    own.from = from;
    own.to = to;
    return own;
  };
}
