// From rates to widths: how many whole slices (channels, heads with their keys) each half of a block keeps, so that the parameters
// that go are the wanted number to half of the smallest step. A half is the attention or the MLP of a block; the experts of a block
// are one half. A step is one slice of attention, and some channels of an MLP: engines want widths that are multiples.
// 1. Where heads and channels compete, the heads of a block are as many as make the least error together with the channels that
//    then must go: both write into the residual, so both errors are ‖Δ‖² of it (`costs`). Else each half has its own rate.
// 2. Heads are rounded, then channels to what is left: the half that is furthest behind its rate, counted in its own steps, goes
//    first, for as long as that brings the total nearer; then single steps, for as long as they do.
// With `equal` all blocks get one width: halves of one kind and size are rounded as one.

import type { Plan } from '../records/index.js';
import { reverseBits } from './groups.js';
import type { ModelFacts } from './policy.js';
import { type LinearUnit, TRUNK, zeroRate } from './unit.js';

export type Half = {
  /** `blocks.<number>.attention` or `blocks.<number>.mlp`. */
  readonly id: string;
  readonly block: number;
  readonly kind: 'attention' | 'mlp';
  /** Whether its slices are those of experts, whose width config.json may say apart from that of an MLP. */
  readonly experts: boolean;
  /** Slices, and the parameters of one, biases and all experts included. */
  readonly slices: number;
  readonly parameters: number;
  /** The least number of slices is one step, and widths are multiples of it, but for the full one. */
  readonly step: number;
  /** The linears that read the value, by name; the experts' of a block are many. */
  readonly readers: readonly string[];
};

export type WidthOptions = {
  /** Parameters that are to go. */
  readonly remove: number;
  readonly equal: boolean;
  /** By half: the error of the cheapest way to take out 0, 1, 2, … slices. With it, heads and channels of a block compete. */
  readonly costs?: ReadonlyMap<string, readonly number[]> | undefined;
};

/** Parameters below which numbers are equal. */
const SLACK = 1e-6;

/** Halves as policies see linears: a row has the parameters of a slice, a column is a slice. */
export const halfFacts = (blocks: number, halves: readonly Half[]): ModelFacts => ({
  blocks,
  linears: halves.map(
    ({ id, block, kind, slices, parameters }): LinearUnit => ({
      ...{ id, kind: 'linear', trunk: TRUNK, block, role: kind },
      ...{ weights: slices * parameters, rows: parameters, columns: slices },
    }),
  ),
});

/** The widths that a half may have, the full one first. */
const widthsOf = ({ slices, step }: Half): readonly number[] => {
  const below = Math.ceil(slices / step) - 1;
  return [slices, ...Array.from({ length: below }, (_, i) => (below - i) * step)];
};

/**
 * Parameters of the least step of any half, or with `equal` of all halves that get one width: of the `first` down from the full
 * width, which may be no multiple, and of those after it (`step`). Infinity where no half has a second width.
 */
export function smallestSteps(
  halves: readonly Half[],
  equal: boolean,
): { readonly first: number; readonly step: number } {
  const open = groupHalves(halves, equal).filter(({ half }) => widthsOf(half).length > 1);
  const least = (of: (half: Half) => number): number => Math.min(...open.map(({ half }) => of(half) * half.parameters));
  return { first: least(({ slices, step }) => slices % step || step), step: least(({ step }) => step) };
}

/** The most parameters that can go from all halves. */
export const mostRemoved = (halves: readonly Half[]): number =>
  halves.reduce((sum, half) => sum + (half.slices - widthsOf(half).at(-1)!) * half.parameters, 0);

/** The plan of a policy, with the number of slices that each reader keeps. */
export function realiseWidths(plan: Plan, halves: readonly Half[], options: WidthOptions): Plan {
  const keeps = chooseWidths(plan, halves, options);
  const units = halves.flatMap(({ id, readers }) => readers.map((name) => [name, { keep: keeps.get(id)! }] as const));
  return { format: 'layerwise-plan', version: 2, units: Object.fromEntries(units) };
}

/** The slices that each half keeps, by its id. */
export function chooseWidths(
  plan: Plan,
  halves: readonly Half[],
  { remove, equal, costs }: WidthOptions,
): ReadonlyMap<string, number> {
  const groups = groupHalves(halves, equal, costs);
  const rateOf = ({ of }: Group): number => {
    const weight = (half: Half): number => half.slices * half.parameters;
    const total = of.reduce((sum, half) => sum + weight(half), 0);
    return of.reduce((sum, half) => sum + weight(half) * zeroRate(plan, half), 0) / total;
  };
  const wanted = new Map(groups.map((group) => [group, rateOf(group) * group.half.slices]));
  const [heads, channels] = (['attention', 'mlp'] as const).map((kind) =>
    groups.filter(({ half }) => half.kind === kind),
  ) as [Group[], Group[]];
  /** Heads that go; what they leave of their quota goes to the channels beside them. */
  const competed = (): number[] =>
    heads.map((group) => {
      const partner = channels.find(
        ({ half, of }) => of.length === group.of.length && (equal || half.block === group.half.block),
      )!;
      const gone = compete(group, partner, wanted);
      const left = (wanted.get(group)! - gone) * group.half.parameters;
      wanted.set(partner, wanted.get(partner)! + left / partner.half.parameters);
      return gone;
    });
  const keeps = new Map<string, number>();
  let left = remove;
  for (const some of [heads, channels]) {
    const slices = some.map((group) => wanted.get(group)!);
    const last = some === channels || channels.length === 0;
    const quota = last ? left : some.reduce((sum, { half }, i) => sum + slices[i]! * half.parameters, 0);
    const removed = costs && !last ? competed() : fitSteps(some, slices, quota);
    for (const [i, { half, of }] of some.entries()) {
      for (const { id } of of) keeps.set(id, half.slices - removed[i]!);
    }
    left -= some.reduce((sum, { half }, i) => sum + removed[i]! * half.parameters, 0);
  }
  return keeps;
}

/** Halves that get one width: one, or with `equal` all of a kind and size. `half` has the parameters of all of them. */
type Group = { readonly half: Half; readonly of: readonly Half[]; readonly costs: readonly number[] | undefined };

/** Blocks may have different numbers of experts: a slice of theirs then has different parameters, and their width is one. */
function groupHalves(halves: readonly Half[], equal: boolean, costs?: WidthOptions['costs']): readonly Group[] {
  if (!equal) return halves.map((half) => ({ half, of: [half], costs: costs?.get(half.id) }));
  const alike = new Map<string, Half[]>();
  for (const half of halves) {
    const key = `${half.kind} ${half.experts} ${half.slices}`;
    alike.set(key, [...(alike.get(key) ?? []), half]);
  }
  return [...alike.values()].map((of) => {
    const all = of.map(({ id }) => costs?.get(id));
    return {
      half: { ...of[0]!, parameters: of.reduce((sum, { parameters }) => sum + parameters, 0) },
      of,
      costs: costs && all[0]!.map((_, i) => all.reduce((sum, one) => sum + one![i]!, 0)),
    };
  });
}

/** How many heads go, where the channels beside them make up the rest of what both should lose. */
function compete(heads: Group, channels: Group, wanted: ReadonlyMap<Group, number>): number {
  const quota = [heads, channels].reduce((sum, one) => sum + wanted.get(one)! * one.half.parameters, 0);
  const most = channels.half.slices - widthsOf(channels.half).at(-1)!;
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let gone = 0; gone < heads.half.slices; gone++) {
    const rest = (quota - gone * heads.half.parameters) / channels.half.parameters;
    if (rest < -SLACK) break;
    // What the channels cannot lose is lost elsewhere; so more heads go only until the channels can.
    const cost = rest > most ? Number.MAX_VALUE : heads.costs![gone]! + between(channels.costs!, Math.max(0, rest));
    if (cost < least || rest > most) [best, least] = [gone, cost];
  }
  return best;
}

/** A value between two of a list. */
const between = (values: readonly number[], at: number): number => {
  const low = Math.min(Math.floor(at), values.length - 1);
  const next = values[Math.min(low + 1, values.length - 1)]!;
  return values[low]! + (at - low) * (next - values[low]!);
};

/** Slices that go from each group, in whole steps, so that `remove` parameters go in all. `wanted` are slices by the rates. */
function fitSteps(groups: readonly Group[], wanted: readonly number[], remove: number): number[] {
  const widths = groups.map(({ half }) => widthsOf(half));
  const removedAt = (i: number, level: number): number => groups[i]!.half.slices - widths[i]![level]!;
  const levels = widths.map((some, i) => some.findLastIndex((_, level) => removedAt(i, level) <= wanted[i]! + SLACK));
  /** Parameters between two levels. */
  const sizeOf = (i: number, from: number): number =>
    (removedAt(i, from + 1) - removedAt(i, from)) * groups[i]!.half.parameters;
  let missing = remove - groups.reduce((sum, { half }, i) => sum + removedAt(i, levels[i]!) * half.parameters, 0);
  const bits = Math.ceil(Math.log2(Math.max(2, groups.length)));
  const behind = (i: number): number =>
    Math.round((wanted[i]! - removedAt(i, levels[i]!)) / groups[i]!.half.step / SLACK) * SLACK;
  for (;;) {
    const open = groups
      .map((_, i) => i)
      .filter((i) => levels[i]! + 1 < widths[i]!.length && missing >= sizeOf(i, levels[i]!) / 2)
      .sort((a, b) => behind(b) - behind(a) || reverseBits(a, bits) - reverseBits(b, bits));
    const [next] = open;
    if (next === undefined) break;
    missing -= sizeOf(next, levels[next]!);
    levels[next]!++;
  }
  for (;;) {
    let nearest = Math.abs(missing) - SLACK;
    let move: (() => void) | undefined;
    for (const [i, level] of levels.entries()) {
      for (const by of [1, -1]) {
        if (level + by < 0 || level + by >= widths[i]!.length) continue;
        const change = by * sizeOf(i, Math.min(level, level + by));
        if (Math.abs(missing - change) >= nearest) continue;
        nearest = Math.abs(missing - change);
        move = () => {
          levels[i]! += by;
          missing -= change;
        };
      }
    }
    if (!move) break;
    move();
  }
  return levels.map((level, i) => removedAt(i, level));
}
