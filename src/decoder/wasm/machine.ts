// One thread's part in running a program. Every thread runs the same operations in the same order and takes its share
// of each: row groups of a linear, heads of attention, tokens of everything else. Every thread computes the experts'
// routes itself. Where an operation needs what another thread wrote, or would overwrite what another may still read,
// all threads meet at a barrier first. One thread computes each number, in an order that does not depend on the number
// of threads, so results are the same for any number.

import type { RuntimeKernels } from '../../kernels/index.js';
import type { Operation, Program } from '../program.js';
import type { BoundOperation, Share } from './binding.js';
import { bindOperation } from './operations.js';
import type { Placement, Step } from './placement.js';
import { makeRoutes } from './routes.js';

export type Thread = {
  readonly memory: { readonly buffer: ArrayBufferLike };
  readonly index: number;
  readonly count: number;
  /** Returns once all threads have called it. */
  barrier(): void;
};

export type Machine = {
  /**
   * Takes part in one pass over a step's tokens. Once all threads have returned, the logits of the picked tokens are in
   * their buffer.
   */
  run(step: Step): void;
};

type Scheduled = { readonly barrierFirst: boolean; readonly run: (step: Step) => void };

export function createMachine(
  program: Program,
  placement: Placement,
  kernels: RuntimeKernels,
  thread: Thread,
): Machine {
  const floats = (address: number, length: number) => new Float32Array(thread.memory.buffer, address, length);
  const bind = (operations: readonly Operation[], space: 'tokens' | 'picked', wide: boolean, block = 0) => {
    const route = operations.find((operation) => operation.kind === 'route');
    const routes = route && makeRoutes(placement.tokens, route.mixture);
    const binding = { program, placement, kernels, thread, floats, space, wide, block, routes };
    return operations.map((operation) => bindOperation(binding, operation));
  };
  // With fewer tokens than threads, some operations are divided in another way.
  const prepare = (wide: boolean) => ({
    body: schedule([
      ...bind(program.embed, 'tokens', wide),
      ...program.blocks.flatMap((operations, block) => bind(operations, 'tokens', wide, block)),
    ]),
    head: schedule(bind(program.head, 'picked', wide)),
  });
  const [wide, narrow] = [prepare(true), prepare(false)];
  const go = (operations: readonly Scheduled[], step: Step): void => {
    for (const { barrierFirst, run } of operations) {
      if (barrierFirst) thread.barrier();
      run(step);
    }
    thread.barrier();
  };
  return {
    run: (step) => {
      kernels.askAhead(step.ahead);
      go((step.tokens >= thread.count ? wide : narrow).body, step);
      if (step.picked > 0) go((step.picked >= thread.count ? wide : narrow).head, step);
    },
  };
}

/** In all operations with one of these shares, a thread has the same rows. */
const BY_ROWS: ReadonlySet<Share> = new Set(['tokens', 'routed']);

/** Puts a barrier before each operation that needs one. Operations divided by the same rows need none between them. */
function schedule(operations: readonly BoundOperation[]): readonly Scheduled[] {
  const written = new Map<string, Share>();
  const read = new Map<string, Share>();
  return operations.map(({ reads, writes, share, run }) => {
    const clash = (names: readonly string[], others: ReadonlyMap<string, Share>): boolean =>
      names.some((name) => others.has(name) && !(BY_ROWS.has(share) && others.get(name) === share));
    const barrierFirst = clash(reads, written) || clash(writes, written) || clash(writes, read);
    if (barrierFirst) {
      written.clear();
      read.clear();
    }
    const note = (names: readonly string[], into: Map<string, Share>): void => {
      for (const name of names) into.set(name, (into.get(name) ?? share) === share ? share : 'mixed');
    };
    note(reads, read);
    note(writes, written);
    return { barrierFirst, run };
  });
}
