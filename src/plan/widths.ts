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
  const groups = equal
    ? joinAlike(halves, costs)
    : halves.map((half) => ({ half, of: [half], costs: costs?.get(half.id) }));
  const rateOf = ({ of }: Group): number => {
    const weight = (half: Half): number => half.slices * half.parameters;
    const total = of.reduce((sum, half) => sum + weight(half), 0);
    return of.reduce((sum, half) => sum + weight(half) * zeroRate(plan, half), 0) / total;
  };
  const wanted = new Map(groups.map((group) => [group, rateOf(group) * group.half.slices]));
  const [heads, channels] = (['attention', 'mlp'] as const).map((kind) =>
    groups.filter(({ half }) => half.kind === kind),
  );
  const keeps = new Map<string, number>();
  const settle = (some: readonly Group[], removed: readonly number[]): number => {
    let parameters = 0;
    for (const [i, { half, of }] of some.entries()) {
      for (const { id } of of) keeps.set(id, half.slices - removed[i]!);
      parameters += removed[i]! * half.parameters;
    }
    return parameters;
  };
  if (channels!.length === 0) {
    settle(
      heads!,
      fitSteps(
        heads!,
        heads!.map((one) => wanted.get(one)!),
        remove,
      ),
    );
    return keeps;
  }
  const partnerOf = (group: Group): Group | undefined =>
    channels!.find(({ half, of }) => of.length === group.of.length && (equal || half.block === group.half.block));
  const taken = costs
    ? heads!.map((group) => compete(group, partnerOf(group)!, wanted))
    : fitSteps(
        heads!,
        heads!.map((one) => wanted.get(one)!),
        heads!.reduce((sum, one) => sum + wanted.get(one)! * one.half.parameters, 0),
      );
  for (const [i, group] of costs ? heads!.entries() : []) {
    const partner = partnerOf(group)!;
    const left = (wanted.get(group)! - taken[i]!) * group.half.parameters;
    wanted.set(partner, wanted.get(partner)! + left / partner.half.parameters);
  }
  const gone = settle(heads!, taken);
  settle(
    channels!,
    fitSteps(
      channels!,
      channels!.map((one) => wanted.get(one)!),
      remove - gone,
    ),
  );
  return keeps;
}

/** Halves that get one width: one, or with `equal` all of a kind and size. `half` has the parameters of all of them. */
type Group = { readonly half: Half; readonly of: readonly Half[]; readonly costs: readonly number[] | undefined };

function joinAlike(halves: readonly Half[], costs: WidthOptions['costs']): readonly Group[] {
  const alike = new Map<string, Half[]>();
  for (const half of halves) {
    const key = `${half.kind} ${half.slices} ${half.parameters}`;
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
