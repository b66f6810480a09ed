// Sizes of dimensions as they are known before a run: a number, or a product of a number and named dimensions, such as
// `24*B`. So the rows of [B, 24, D] as a matrix are `24*B`, and reshaped back they are B × 24 again.

import type { Dimension } from './graph.js';

/** A number, or a canonical product: its number first where it is not 1, then the names in order. */
export type Size = Dimension;

type Product = { readonly factor: number; readonly names: readonly string[] };

function parse(size: Size): Product {
  if (typeof size === 'number') return { factor: size, names: [] };
  const parts = size.split('*');
  const first = Number(parts[0]);
  return Number.isNaN(first) ? { factor: 1, names: parts } : { factor: first, names: parts.slice(1) };
}

function format({ factor, names }: Product): Size {
  if (names.length === 0 || factor === 0) return factor;
  return [...(factor === 1 ? [] : [String(factor)]), ...[...names].sort()].join('*');
}

/** The product of sizes; of a shape, the number of its elements. */
export function countOf(sizes: readonly Size[]): Size {
  const parts = sizes.map(parse);
  return format({
    factor: parts.reduce((product, { factor }) => product * factor, 1),
    names: parts.flatMap(({ names }) => names),
  });
}

/** a / b, or undefined where that is no product of a whole number and names. */
export function quotient(a: Size, b: Size): Size | undefined {
  const [over, under] = [parse(a), parse(b)];
  const names = [...over.names];
  for (const name of under.names) {
    const at = names.indexOf(name);
    if (at < 0) return undefined;
    names.splice(at, 1);
  }
  const factor = over.factor / under.factor;
  return Number.isInteger(factor) ? format({ factor, names }) : undefined;
}

/** The sum of sizes, or undefined where they have different names. */
export function sumOf(sizes: readonly Size[]): Size | undefined {
  const parts = sizes.map(parse);
  const [first] = parts;
  if (!first || parts.some(({ names }) => names.join() !== first.names.join())) return undefined;
  return format({ factor: parts.reduce((sum, { factor }) => sum + factor, 0), names: first.names });
}

export const isStatic = (shape: readonly Size[]): shape is readonly number[] =>
  shape.every((size) => typeof size === 'number');
