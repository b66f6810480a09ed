// Records operations and allocates buffers. A linear is recorded when its result is first needed. If its result is only
// added to something, the threads that compute it add it at once, without a separate operation. The input of several
// linears is quantised once.

import { InternalError } from '../base/portable.js';
import type { Operation, Rowed, Value } from './program.js';

/** Whether a weight's linear takes quantised activations. */
export type TakesIntegers = (weight: string) => boolean;

type Pending = {
  readonly x: string;
  readonly weight: string;
  readonly bias: string | undefined;
  readonly rows: number;
};

export class Recorder {
  readonly operations: Operation[] = [];
  readonly buffers: Rowed[];
  readonly quantised: Rowed[];
  private readonly values = new Map<string, Value>();
  private readonly pending = new Map<string, Pending>();
  private readonly lazy = new Map<string, () => Value>();
  private readonly integers = new Map<string, number>();
  private readonly takesIntegers: TakesIntegers;
  private count = 0;

  /** New buffers come after the given ones. Buffer 0 is the residual, `x`. */
  constructor(takesIntegers: TakesIntegers, buffers: readonly Rowed[], quantised: readonly Rowed[] = []) {
    this.buffers = [...buffers];
    this.quantised = [...quantised];
    this.takesIntegers = takesIntegers;
    this.values.set('x', { buffer: 0, offset: 0, width: buffers[0]!.width });
  }

  /** The place of a value. Records its computation if that is still pending. */
  place(name: string): Value {
    const waiting = this.pending.get(name);
    if (waiting) {
      this.pending.delete(name);
      const y = this.allocate(waiting.rows);
      this.values.set(name, y);
      this.writeLinear(waiting, y, undefined);
      return y;
    }
    const make = this.lazy.get(name);
    if (make) {
      this.lazy.delete(name);
      this.values.set(name, make());
    }
    const value = this.values.get(name);
    if (!value) throw new InternalError('E_INTERNAL_PROGRAM', `Nothing computes ${name}; please report this.`);
    return value;
  }

  /** A new whole buffer. `routed` is its number of rows per token, where rows belong to experts. */
  allocate(width: number, routed?: number): Value {
    this.buffers.push({ width, perToken: routed ?? 1 });
    return { buffer: this.buffers.length - 1, offset: 0, width, routed };
  }

  /** A name for a place. */
  name(value: Value): string {
    const name = `value ${this.count++}`;
    this.values.set(name, value);
    return name;
  }

  /** Another name for a value. Records its computation if that is still pending. */
  alias(name: string): string {
    return this.name(this.place(name));
  }

  /** A name for what `make` records, once it is needed. */
  lazily(make: () => Value): string {
    const name = `value ${this.count++}`;
    this.lazy.set(name, make);
    return name;
  }

  write(operation: Operation): void {
    this.operations.push(operation);
  }

  linear(x: string, weight: string, bias: string | undefined, rows: number): string {
    const name = `linear ${this.count++}`;
    this.pending.set(name, { x, weight, bias, rows });
    return name;
  }

  /** Applies each expert's linear, one of `weights`, to its rows of x. */
  experts(x: string, weights: readonly string[], rows: number): string {
    const from = this.place(x);
    const q = weights.some(this.takesIntegers) ? this.quantise(x, from) : undefined;
    const y = this.allocate(rows, from.routed);
    this.write({ kind: 'experts', x: from, q, y, weights });
    return this.name(y);
  }

  /** residual += x, in place. */
  add(residual: string, x: string): string {
    const target = this.place(residual);
    const waiting = this.pending.get(x);
    if (waiting) {
      this.pending.delete(x);
      this.writeLinear(waiting, this.allocate(waiting.rows), target);
    } else {
      this.write({ kind: 'add', x: this.place(x), y: target });
    }
    // Every read of the old residual must already be recorded; a later read would see the new value.
    this.values.delete(residual);
    return this.name(target);
  }

  private writeLinear({ x, weight, bias }: Pending, y: Value, addTo: Value | undefined): void {
    const from = this.place(x);
    const q = this.takesIntegers(weight) ? this.quantise(x, from) : undefined;
    this.write({ kind: 'linear', x: from, q, y, weight, bias, addTo });
  }

  private quantise(name: string, x: Value): number {
    const known = this.integers.get(name);
    if (known !== undefined) return known;
    this.quantised.push({ width: x.width, perToken: x.routed ?? 1 });
    const q = this.quantised.length - 1;
    this.integers.set(name, q);
    this.write({ kind: 'quantise', x, q });
    return q;
  }
}
