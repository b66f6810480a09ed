// What block files build with, for the runtime: the same calls that make a graph for the engine make operations for the
// kernels, so a family that can be pruned can be run. Values are named; taps are nobody's business here.

import { InternalError, UnsupportedError } from '../base/index.js';
import type { Kit, ModelConfig, Rope } from '../model/index.js';
import type { Value } from './program.js';
import { Recorder, type TakesIntegers } from './recorder.js';

export type ProgramKitOptions = {
  readonly config: ModelConfig;
  readonly block: number;
  /** The name of a role's `weight` or `bias`; undefined where the block has none. */
  readonly tensor: (role: string) => string | undefined;
  /** Rows of a linear's weight. */
  readonly rows: (role: LinearRole) => number;
  readonly takesIntegers: TakesIntegers;
};

type NormRole = Parameters<Kit['norm']>[1];
type LinearRole = Parameters<Kit['linear']>[1];

/** Heads of a value: numbers from one to the next, and by which rotation they turn, which is done where they are used. */
type Heads = { readonly pitch: number; readonly rope: number | undefined };

export class ProgramKit implements Kit {
  readonly x = 'x';
  readonly config: ModelConfig;
  readonly recorder: Recorder;
  private readonly options: ProgramKitOptions;
  private readonly heads = new Map<string, Heads>();
  private readonly activated = new Map<string, string>();

  constructor(options: ProgramKitOptions) {
    this.options = options;
    this.config = options.config;
    this.recorder = new Recorder(options.takesIntegers, [options.config.hidden]);
  }

  rows(x: string): string {
    return x;
  }

  norm(x: string, role: NormRole): string {
    const from = this.recorder.place(x);
    const y = this.recorder.allocate(from.width);
    this.writeNorm(from, y, role, 1);
    return this.recorder.name(y);
  }

  linear(x: string, role: LinearRole): string {
    const { tensor, rows } = this.options;
    return this.recorder.linear(x, tensor(`${role}.weight`)!, tensor(`${role}.bias`), rows(role));
  }

  /** Written down by `multiply`, or when it is needed as it is. */
  activate(x: string): string {
    const name = this.recorder.lazily(() => this.writeActivation(x, undefined));
    this.activated.set(name, x);
    return name;
  }

  multiply(a: string, b: string): string {
    const x = this.activated.get(a);
    if (x === undefined) throw new InternalError('E_INTERNAL_PROGRAM', 'Only what was activated is multiplied.');
    return this.recorder.name(this.writeActivation(x, b));
  }

  add(residual: string, x: string): string {
    return this.recorder.add(residual, x);
  }

  split(x: string, widths: readonly number[]): string[] {
    const { buffer, offset } = this.recorder.place(x);
    let end = offset;
    return widths.map((width) => {
      end += width;
      return this.recorder.name({ buffer, offset: end - width, width });
    });
  }

  splitHeads(x: string): string[] {
    const { buffer, offset } = this.recorder.place(x);
    const { heads, headDim: h } = this.config;
    return [0, 1, 2].map((part) => {
      const width = 3 * h * (heads - 1) + h;
      const name = this.recorder.name({ buffer, offset: offset + part * h, width });
      this.heads.set(name, { pitch: 3 * h, rope: undefined });
      return name;
    });
  }

  tap(): void {}

  get mixture(): Kit['mixture'] {
    return this.config.mixtures[this.options.block];
  }

  route(): never {
    return refuseExperts(this.config);
  }

  routed(): never {
    return refuseExperts(this.config);
  }

  combine(): never {
    return refuseExperts(this.config);
  }

  rotate(x: string, count: number, norm: 'qNorm' | 'kNorm'): string {
    const { qkNorm, localRope, windows } = this.config;
    const local = localRope !== undefined && windows[this.options.block] !== undefined;
    const rope = local ? 1 : this.config.rope ? 0 : undefined;
    const pitch = this.heads.get(x)?.pitch ?? this.config.headDim;
    if (qkNorm) {
      // In place: whoever reads heads reads the same buffer.
      const place = this.recorder.place(x);
      this.writeNorm(place, place, norm, count);
    }
    const name = this.recorder.alias(x);
    this.heads.set(name, { pitch, rope });
    return name;
  }

  attend(q: string, k: string, v: string): string {
    const { recorder } = this;
    const { heads, headDim, windows } = this.config;
    const [queries, keys, values] = [q, k, v].map((x) => this.headsOf(x));
    const [from, stored, kept] = [recorder.place(q), recorder.place(k), recorder.place(v)];
    let query = from;
    if (queries!.rope !== undefined || queries!.pitch !== headDim) {
      query = recorder.allocate(heads * headDim);
      recorder.write({ kind: 'rotate', x: from, y: query, heads, ...queries! });
    }
    recorder.write({ kind: 'store', what: 'keys', x: stored, ...keys! });
    recorder.write({ kind: 'store', what: 'values', x: kept, ...values! });
    const y = recorder.allocate(heads * headDim);
    recorder.write({ kind: 'attend', q: query, y, window: windows[this.options.block] ?? 0 });
    return recorder.name(y);
  }

  /** The block's output, brought to where the next block reads. */
  output(value: () => string): void {
    const y = this.recorder.place(value());
    if (y.buffer !== 0) this.recorder.write({ kind: 'copy', x: y, y: { buffer: 0, offset: 0, width: y.width } });
  }

  private headsOf(x: string): Heads {
    return this.heads.get(x) ?? { pitch: this.config.headDim, rope: undefined };
  }

  private writeNorm(x: Value, y: Value, role: NormRole, heads: number): void {
    const { config, tensor } = this.options;
    const [weight, bias] = [tensor(`${role}.weight`), tensor(`${role}.bias`)];
    this.recorder.write({ kind: 'norm', norm: config.norm, x, y, heads, weight, bias, epsilon: config.normEps });
  }

  private writeActivation(x: string, up: string | undefined): Value {
    const from = this.recorder.place(x);
    const factor = up === undefined ? undefined : this.recorder.place(up);
    const y = this.recorder.allocate(from.width);
    this.recorder.write({ kind: 'activate', activation: this.config.activation, x: from, up: factor, y });
    return y;
  }
}

function refuseExperts({ family }: ModelConfig): never {
  throw new UnsupportedError(
    'E_UNSUPPORTED_EXPERTS',
    `The ${family} model has a mixture of experts, which can be pruned, inspected and evaluated but not packed or run; export the sparse checkpoint to a runtime that has experts.`,
    { family },
  );
}

/** @throws UnsupportedError E_UNSUPPORTED_EXPERTS where the kernels cannot run a model */
export function requireRunnable(config: ModelConfig): void {
  if (config.mixtures.some((mixture) => mixture !== undefined)) refuseExperts(config);
}

/** The rotations of a model; where a windowed block has one of its own, it is the second. */
export const ropesOf = ({ rope, localRope }: ModelConfig): readonly Rope[] =>
  [rope, localRope].filter((one) => one !== undefined);
