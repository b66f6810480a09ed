// The values of the reference engine: row-major and in double precision, whatever their type. Nothing is rounded to
// float32 between ops, so it is more exact than the engines tested against it. Integers of shapes and positions are
// exact up to 2⁵³.

import { ShapeError, UnsupportedError } from '../../base/index.js';
import type { Attribute, ElementType } from '../../graph/index.js';
import { elementCount } from '../../tensor/index.js';

export type Value = { readonly type: ElementType; readonly shape: readonly number[]; readonly data: Float64Array };

export type Attributes = Readonly<Record<string, Attribute>>;

/** One op: its inputs and outputs. An omitted input is undefined. */
export type Op = {
  /** The supported attributes. A node with any other attribute is refused. */
  readonly attributes: readonly string[];
  /** Fewest and most inputs. */
  readonly inputs: readonly [least: number, most: number];
  /** Fewest and most outputs. Defaults to one. */
  readonly outputs?: readonly [least: number, most: number];
  readonly run: (inputs: readonly (Value | undefined)[], attributes: Attributes) => Value | readonly Value[];
};

export const real = (shape: readonly number[], data?: Float64Array): Value => ({
  type: 'f32',
  shape,
  data: data ?? new Float64Array(elementCount(shape)),
});

/** The number in an attribute, or `fallback` where the node has none. */
export function scalar(attributes: Attributes, name: string, fallback?: number): number {
  const attribute = attributes[name];
  if (attribute === undefined && fallback !== undefined) return fallback;
  if (attribute === undefined || attribute.kind === 'ints' || attribute.kind === 'text') {
    throw new UnsupportedError('E_UNSUPPORTED_ATTRIBUTE', `Attribute ${name}: expected one number.`, { name });
  }
  return attribute.value;
}

/** The numbers in an attribute. */
export function numbers(attributes: Attributes, name: string): readonly number[] {
  const attribute = attributes[name];
  if (attribute?.kind === 'ints') return attribute.value;
  throw new UnsupportedError('E_UNSUPPORTED_ATTRIBUTE', `Attribute ${name}: expected numbers.`, { name });
}

/** The word in an attribute, which must be one of `words`. Defaults to the first of them. */
export function word<T extends string>(attributes: Attributes, name: string, words: readonly [T, ...T[]]): T {
  const attribute = attributes[name];
  if (attribute === undefined) return words[0];
  const found = words.find((one) => attribute.kind === 'text' && attribute.value === one);
  if (found !== undefined) return found;
  const message = `Attribute ${name}: expected one of ${words.join(', ')}, got ${attribute.value}.`;
  throw new UnsupportedError('E_UNSUPPORTED_ATTRIBUTE', message, { name, got: attribute.value });
}

/** An axis, counted from the front. */
export function axisOf(axis: number, rank: number): number {
  const front = axis < 0 ? axis + rank : axis;
  if (front < 0 || front >= rank) mismatch('axis', `an axis of a tensor of rank ${rank}`, axis);
  return front;
}

/** The number of entries before and after axis `axis`: the tensor is [outer, shape[axis], inner]. */
export function around(shape: readonly number[], axis: number): { readonly outer: number; readonly inner: number } {
  return { outer: elementCount(shape.slice(0, axis)), inner: elementCount(shape.slice(axis + 1)) };
}

export function mismatch(what: string, expected: unknown, got: unknown): never {
  const text = (value: unknown): string => (Array.isArray(value) ? `[${value.join(', ')}]` : String(value));
  throw new ShapeError('E_SHAPE_OPERATION', `${what}: expected ${text(expected)}, got ${text(got)}.`, {
    what,
    expected,
    got,
  });
}
