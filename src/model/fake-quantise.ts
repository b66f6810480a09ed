// Nodes that put what a linear reads on few levels and give it back as float32 (fake quantisation), the grid of
// operators/clips/asymmetric.ts in ONNX's operators:
//   scale = (2^b − 1) / max(high − low, 1e-5);  z = Round(scale·low) + 2^(b−1);  x̂ = (Clip(Round(scale·x − z)) + z) / scale
// The range is p·[min(min x, 0), max(max x, 0)] of each token, or p·[low, high] for all. Zero lies in every range.

import { type GraphBuilder, int } from '../graph/index.js';

/** How the value at one site is quantised. */
export type ActivationGrid = {
  readonly bits: number;
  /** The range before it is clipped: of each token, or the same for all. */
  readonly range: 'token' | { readonly low: number; readonly high: number };
  /** p; or an input of the graph (`clipOf`), so that one graph serves every p. */
  readonly clip: number | 'input';
};

/** The input with the clip of a site, [1]. */
export const clipOf = (site: string): string => `clip of ${site}`;

/** The value x [N, width] on the levels of its grid. `site` names its input. */
export function fakeQuantise(g: GraphBuilder, x: string, { bits, range, clip }: ActivationGrid, site: string): string {
  const number = (value: number): string => g.constant(`number[${value}]`, Float32Array.of(value), [1]);
  const limit = (value: number): string => g.constant(`limit[${value}]`, Float32Array.of(value), []);
  const p = clip === 'input' ? g.input(clipOf(site), 'f32', [1]) : number(clip);
  const above = (value: string): string =>
    g.op('Relu', [g.op('ReduceMax', [value, g.shape([1])], { keepdims: int(1) })]);
  const [high, below] =
    range === 'token' ? [above(x), above(g.op('Neg', [x]))] : [number(range.high), number(-range.low)];
  const [top, bottom] = [g.op('Mul', [high, p]), g.op('Neg', [g.op('Mul', [below, p])])];
  const half = 2 ** (bits - 1);
  const width = g.op('Clip', [g.op('Sub', [top, bottom]), limit(1e-5), limit(3.4e38)]);
  const scale = g.op('Div', [number(2 ** bits - 1), width]);
  const zero = g.op('Add', [g.op('Round', [g.op('Mul', [scale, bottom])]), number(half)]);
  const placed = g.op('Round', [g.op('Sub', [g.op('Mul', [x, scale]), zero])]);
  const kept = g.op('Clip', [placed, limit(-half), limit(half - 1)]);
  return g.op('Div', [g.op('Add', [kept, zero]), scale]);
}
