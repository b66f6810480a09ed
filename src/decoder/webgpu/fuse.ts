// Operations that share a dispatch, because a dispatch costs microseconds whatever it does: a norm with the int8 of its result,
// linears of the same input, the rotation and storing of heads, and an MLP's first products with their activation. A pure
// pass over a list: an operation joins an earlier one where nothing between them touches what it touches. What does not fit
// (weights of unequal layouts, experts, biases on some of the linears alone) stays a dispatch of its own. Buffers but the
// residual live within a list (recorder.ts), so a list shows who else reads one.

import { MOST_PARTS } from '../../gpu/portable.js';
import type { Operation, Value } from '../program.js';

export type OperationOf<K extends Operation['kind']> = Operation & { readonly kind: K };
type Linear = OperationOf<'linear'>;
export type Heads = OperationOf<'rotate' | 'store'>;

/** One or more operations; those that can be joined are always in the form of several. */
export type Fused =
  | Exclude<Operation, { readonly kind: 'norm' | 'linear' | 'rotate' | 'store' }>
  | {
      readonly kind: 'normalise';
      readonly pick?: OperationOf<'pick'> | undefined;
      readonly norm: OperationOf<'norm'>;
      readonly quantise?: OperationOf<'quantise'> | undefined;
    }
  /** Of the same input, side by side. */
  | { readonly kind: 'linears'; readonly linears: readonly [Linear, ...Linear[]] }
  /** y = activation(gate), times `up` where there is one; what gate and up write is never stored. */
  | {
      readonly kind: 'gated';
      readonly gate: Linear;
      readonly up: Linear | undefined;
      readonly activate: OperationOf<'activate'>;
    }
  | { readonly kind: 'heads'; readonly heads: readonly [Heads, ...Heads[]] };

/** Whether one kernel can read these weights: they have one form and are in one shard. */
export type Alike = (one: string, other: string) => boolean;

/** Each operation by itself. */
export const separate = (operations: readonly Operation[]): readonly Fused[] =>
  operations.map((one): Fused => {
    if (one.kind === 'norm') return { kind: 'normalise', norm: one };
    if (one.kind === 'linear') return { kind: 'linears', linears: [one] };
    if (one.kind === 'rotate' || one.kind === 'store') return { kind: 'heads', heads: [one] };
    return one;
  });

export function fuse(operations: readonly Operation[], alike: Alike): readonly Fused[] {
  const done = new Set<Operation>();
  const fused: Fused[] = [];
  for (const [at, one] of operations.entries()) {
    if (done.has(one)) continue;
    const list: List = { operations, at, done };
    const [joined, members] = join(list, one, alike);
    fused.push(joined);
    for (const member of members) done.add(member);
  }
  return fused;
}

type List = {
  readonly operations: readonly Operation[];
  readonly at: number;
  readonly done: ReadonlySet<Operation>;
};
type Joined = readonly [fused: Fused, members: readonly Operation[]];

function join(list: List, one: Operation, alike: Alike): Joined {
  switch (one.kind) {
    case 'pick':
    case 'norm':
      return joinNorm(list, one);
    case 'linear':
      return joinGated(list, one, alike) ?? joinLinears(list, one, alike);
    case 'rotate':
    case 'store': {
      const heads = joinLater<Heads>(list, one, (other, others): other is Heads => {
        if (other.kind !== 'rotate' && other.kind !== 'store') return false;
        return new Set([...others, other].map(({ rope }) => rope).filter((rope) => rope !== undefined)).size <= 1;
      });
      return [{ kind: 'heads', heads }, heads];
    }
    default:
      return [one, [one]];
  }
}

function joinNorm(list: List, one: OperationOf<'pick' | 'norm'>): Joined {
  const pick = one.kind === 'pick' ? one : undefined;
  const norm = one.kind === 'norm' ? one : next(list, [one], (other) => other.kind === 'norm' && same(other.x, one.y));
  if (norm?.kind !== 'norm' || norm.heads > 1) return separately(one);
  if (pick && isUsed(list, pick.y, [pick, norm])) return separately(one);
  const before = pick ? [pick, norm] : [norm];
  const quantise = next(list, before, (other) => other.kind === 'quantise' && same(other.x, norm.y));
  if (quantise?.kind !== 'quantise') return [{ kind: 'normalise', pick, norm }, before];
  return [{ kind: 'normalise', pick, norm, quantise }, [...before, quantise]];
}

const separately = (one: Operation): Joined => [separate([one])[0]!, [one]];

/** A linear whose result goes to an activation alone, and the one that this is times. */
function joinGated(list: List, one: Linear, alike: Alike): Joined | undefined {
  const { operations } = list;
  const activate = operations.find(
    (other) => other.kind === 'activate' && (same(other.x, one.y) || (other.up !== undefined && same(other.up, one.y))),
  );
  if (activate?.kind !== 'activate') return undefined;
  const makes = (y: Value): Linear | undefined =>
    operations.find((other): other is Linear => other.kind === 'linear' && same(other.y, y));
  const gate = makes(activate.x);
  const up = activate.up && makes(activate.up);
  if (!gate || (activate.up && !up)) return undefined;
  const linears = up ? [gate, up] : [gate];
  const members = [...linears, activate];
  const fits =
    members.every((member) => member === one || canMove(list, member, members)) &&
    linears.every(({ addTo, y }) => addTo === undefined && !isUsed(list, y, members)) &&
    (!up || (gate !== up && readsAsOne(gate, up, alike)));
  return fits ? [{ kind: 'gated', gate, up, activate }, members] : undefined;
}

function joinLinears(list: List, one: Linear, alike: Alike): Joined {
  const linears = one.addTo
    ? ([one] as const)
    : joinLater(
        list,
        one,
        (other): other is Linear => other.kind === 'linear' && !other.addTo && readsAsOne(one, other, alike),
      );
  return [{ kind: 'linears', linears }, linears];
}

const readsAsOne = (one: Linear, other: Linear, alike: Alike): boolean =>
  one.q === other.q &&
  (one.q !== undefined || same(one.x, other.x)) &&
  (one.bias === undefined) === (other.bias === undefined) &&
  alike(one.weight, other.weight);

/** `one`, and later ones that run beside it in any order. */
function joinLater<T extends Operation>(
  list: List,
  one: T,
  fits: (other: Operation, others: readonly T[]) => other is T,
): readonly [T, ...T[]] {
  const members: [T, ...T[]] = [one];
  for (const other of list.operations.slice(list.at + 1)) {
    if (members.length === MOST_PARTS || list.done.has(other)) continue;
    if (!fits(other, members)) continue;
    if (members.every((member) => commute(member, other)) && canMove(list, other, members)) members.push(other);
  }
  return members;
}

/** The first later operation of this kind that can follow `members` at once. */
const next = (
  list: List,
  members: readonly Operation[],
  fits: (other: Operation) => boolean,
): Operation | undefined => {
  const found = list.operations.slice(list.at + 1).find((other) => !list.done.has(other) && fits(other));
  return found && canMove(list, found, members) ? found : undefined;
};

/** Whether an operation can come as early as the list's place: it commutes with what is between, but for `members`. */
const canMove = ({ operations, at, done }: List, one: Operation, members: readonly Operation[]): boolean =>
  !done.has(one) &&
  operations.indexOf(one) > at &&
  operations
    .slice(at, operations.indexOf(one))
    .every((other) => done.has(other) || members.includes(other) || commute(one, other));

/** Whether another operation than these reads or writes any of a buffer. */
const isUsed = ({ operations }: List, { buffer }: Value, members: readonly Operation[]): boolean =>
  operations.some((one) => {
    const { reads, writes } = touchedBy(one);
    return !members.includes(one) && [...reads, ...writes].includes(`buffer ${buffer}`);
  });

const same = (one: Value, other: Value): boolean =>
  one.buffer === other.buffer &&
  one.offset === other.offset &&
  one.width === other.width &&
  one.routed === other.routed;

function commute(one: Operation, other: Operation): boolean {
  const [a, b] = [touchedBy(one), touchedBy(other)];
  return (
    ![...b.reads, ...b.writes].some((what) => a.writes.includes(what)) &&
    !b.writes.some((what) => a.reads.includes(what))
  );
}

type Touched = { readonly reads: readonly string[]; readonly writes: readonly string[] };

/** What an operation reads and writes: whole buffers, since parts of them are not told apart. */
function touchedBy(one: Operation): Touched {
  const of = (...values: readonly (Value | undefined)[]): string[] =>
    values.filter((value) => value !== undefined).map(({ buffer }) => `buffer ${buffer}`);
  const input = ({ x, q }: { readonly x: Value; readonly q: number | undefined }): string[] =>
    q === undefined ? of(x) : [`integers ${q}`];
  switch (one.kind) {
    case 'quantise':
      return { reads: of(one.x), writes: [`integers ${one.q}`] };
    case 'linear':
      return { reads: [...input(one), ...of(one.addTo)], writes: of(one.y, one.addTo) };
    case 'route':
      return { reads: of(one.logits), writes: ['routes'] };
    case 'gather':
    case 'combine':
      return { reads: [...of(one.x), 'routes'], writes: of(one.y) };
    case 'experts':
      return { reads: [...input(one), 'routes'], writes: of(one.y) };
    case 'activate':
      return { reads: of(one.x, one.up), writes: of(one.y) };
    case 'store':
      return { reads: of(one.x), writes: [one.what] };
    case 'attend':
      return { reads: [...of(one.q), 'keys', 'values'], writes: of(one.y) };
    case 'look':
      return { reads: [], writes: of(one.y) };
    case 'add':
      return { reads: of(one.x, one.y), writes: of(one.y) };
    case 'norm':
    case 'rotate':
    case 'scale':
    case 'copy':
    case 'pick':
      return { reads: of(one.x), writes: of(one.y) };
    default:
      return one satisfies never;
  }
}
