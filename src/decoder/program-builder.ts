// The builder that block files use for the decoder. The same calls that make a graph for the engine make operations for
// the kernels here, so a family that can be pruned can also be run. Values are names, and taps are ignored. All experts
// do the same, each on its own rows of the same buffers (routes.ts), so the calls of one expert are recorded once for
// all.

import { InternalError } from '../base/portable.js';
import type { BlockBuilder, ModelConfig, Rope } from '../model/index.js';
import { type BlockConfig, blockConfig, linearRole, ROUTER } from '../model/portable.js';
import type { Value } from './program.js';
import { Recorder, type TakesIntegers } from './recorder.js';

export type ProgramBuilderOptions = {
  readonly config: ModelConfig;
  readonly block: number;
  /** The name of a role's `weight` or `bias`; undefined where the block has none. */
  readonly tensor: (role: string) => string | undefined;
  /** Rows of a linear's weight. */
  readonly rows: (role: LinearRole) => number;
  readonly takesIntegers: TakesIntegers;
};

type NormRole = Parameters<BlockBuilder<string>['norm']>[1];
type LinearRole = Parameters<BlockBuilder<string>['linear']>[1];

/** Heads of a value: the numbers from one head to the next, and the rotation to apply when the heads are used. */
type Heads = { readonly pitch: number; readonly rope: number | undefined };

export class ProgramBuilder implements BlockBuilder<string, undefined> {
  readonly x = 'x';
  readonly config: BlockConfig;
  readonly recorder: Recorder;
  private readonly options: ProgramBuilderOptions;
  private readonly heads = new Map<string, Heads>();
  private readonly activated = new Map<string, string>();
  private readonly made = new Map<string, string>();

  constructor(options: ProgramBuilderOptions) {
    this.options = options;
    this.config = blockConfig(options.config, options.block);
    this.recorder = new Recorder(options.takesIntegers, [{ width: options.config.hidden, perToken: 1 }]);
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

  linear(x: string, role: LinearRole, expert?: number): string {
    const { tensor, rows } = this.options;
    if (expert !== undefined) {
      return this.once(`${role} of ${x}`, () => {
        const { experts } = this.mixture!;
        const weights = Array.from({ length: experts }, (_, one) => tensor(`${linearRole(role, one)}.weight`)!);
        return this.recorder.experts(x, weights, rows(role));
      });
    }
    return this.recorder.linear(x, tensor(`${role}.weight`)!, tensor(`${role}.bias`), rows(role));
  }

  /** Recorded by `multiply`, or when the activation itself is needed. */
  activate(x: string): string {
    return this.once(`activation of ${x}`, () => {
      const name = this.recorder.lazily(() => this.writeActivation(x, undefined));
      this.activated.set(name, x);
      return name;
    });
  }

  scale(): string {
    return this.never();
  }

  halve(): string {
    return this.never();
  }

  depthwise(): string {
    return this.never();
  }

  respond(): string {
    return this.never();
  }

  /** `lowerModel` refuses models that need it. */
  private never(): never {
    throw new InternalError('E_INTERNAL_PROGRAM', 'The decoder runs language models alone; please report this.');
  }

  multiply(a: string, b: string): string {
    const x = this.activated.get(a);
    if (x === undefined)
      throw new InternalError('E_INTERNAL_PROGRAM', 'Only an activation can be multiplied; please report this.');
    return this.once(`${a} times ${b}`, () => this.recorder.name(this.writeActivation(x, b)));
  }

  add(residual: string, x: string): string {
    return this.recorder.add(residual, x);
  }

  split(x: string, widths: readonly number[]): string[] {
    const whole = this.recorder.place(x);
    let end = whole.offset;
    return widths.map((width) => {
      end += width;
      return this.recorder.name({ ...whole, offset: end - width, width });
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

  get mixture(): BlockBuilder<string>['mixture'] {
    return this.config.mixtures[this.options.block];
  }

  /** Which token goes to which expert is no value of the program: each thread keeps it (routes.ts). */
  route(x: string): undefined {
    const { recorder } = this;
    const mixture = this.mixture!;
    const logits = recorder.allocate(mixture.experts);
    const weight = this.options.tensor(`${ROUTER}.weight`)!;
    const own = { q: undefined, bias: undefined, addTo: undefined };
    recorder.write({ kind: 'linear', x: recorder.place(x), y: logits, weight, ...own });
    recorder.write({ kind: 'route', logits, mixture });
  }

  routed(x: string): string {
    return this.once(`rows of ${x}`, () => {
      const from = this.recorder.place(x);
      const y = this.recorder.allocate(from.width, this.mixture!.perToken);
      this.recorder.write({ kind: 'gather', x: from, y });
      return this.recorder.name(y);
    });
  }

  combine(_: undefined, [made]: readonly string[]): string {
    const x = this.recorder.place(made!);
    const y = this.recorder.allocate(x.width);
    this.recorder.write({ kind: 'combine', x, y });
    return this.recorder.name(y);
  }

  rotate(x: string, count: number, norm: 'qNorm' | 'kNorm'): string {
    const { qkNorm, localRope, windows } = this.config;
    const local = localRope !== undefined && windows[this.options.block] !== undefined;
    const rope = local ? 1 : this.config.rope ? 0 : undefined;
    const pitch = this.heads.get(x)?.pitch ?? this.config.headDim;
    if (qkNorm) {
      // In place: every reader of these heads reads the same buffer.
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

  /** Moves the block's output to where the next block reads it. */
  output(value: () => string): void {
    const y = this.recorder.place(value());
    if (y.buffer !== 0) this.recorder.write({ kind: 'copy', x: y, y: { buffer: 0, offset: 0, width: y.width } });
  }

  /** Returns for every further expert what was recorded for the first one. */
  private once(what: string, make: () => string): string {
    const known = this.made.get(what);
    if (known !== undefined) return known;
    const name = make();
    this.made.set(what, name);
    return name;
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
    const y = this.recorder.allocate(from.width, from.routed);
    const { activation } = this.config;
    if (activation === 'quick_gelu') return this.never();
    this.recorder.write({ kind: 'activate', activation, x: from, up: factor, y });
    return y;
  }
}

/** The rotations of a model. Where windowed blocks have their own rotation, it is the second. */
export const ropesOf = ({ rope, localRope }: ModelConfig): readonly Rope[] =>
  [rope, localRope].filter((one) => one !== undefined);
