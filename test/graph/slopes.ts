// Gradients against finite differences, all in double precision on the reference engine. Along a random direction v the slope
// of L is taken from four points; L is the sum of the graph's seeds times random cotangents. The step is short, because some
// operators have kinks, and of some directions the best counts: what is wrong is wrong along all, a kink is met along one.

import type { HostTensor } from '../../src/engine/index.js';
import { interpret, readValue } from '../../src/engine/reference/reference.js';
import type { Value } from '../../src/engine/reference/value.js';
import { type DifferentiateOptions, differentiate, type Graph } from '../../src/graph/index.js';
import { rngOf } from '../engine/numbers.js';

const STEP = 1e-5;
/** A gradient below this share of the largest counts as of this size: of one that is exactly 0, rounding is all there is. */
const FLOOR = 1e-2;

type Values = ReadonlyMap<string, Value>;
type Inputs = Readonly<Record<string, HostTensor>>;

const toValue = ({ type, shape, data }: HostTensor): Value => ({
  type,
  shape,
  data: Float64Array.from(data as Iterable<number | bigint>, Number),
});

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const norm = (a: Float64Array): number => Math.sqrt(dot(a, a));

/**
 * The smallest difference over some directions, as a share of ‖g‖·‖v‖: for every name by itself or, of fewer runs, for all
 * names at once. @throws Error where a gradient has not the shape of what it is of
 */
export async function slopeErrors(
  graph: Graph,
  inputs: Inputs,
  options: DifferentiateOptions,
  { directions = 3, together = false } = {},
): Promise<Readonly<Record<string, number>>> {
  const rng = rngOf(5);
  const random = (count: number): Float64Array => Float64Array.from({ length: count }, () => 2 * rng.uniform() - 1);
  const given = new Map<string, Value>();
  for (const { name } of graph.inputs) given.set(name, toValue(inputs[name]!));
  for (const item of graph.initializers) given.set(item.name, await readValue(graph, item));
  const forward = new Map(given);
  interpret(graph, forward);
  const cotangents = new Map<string, Value>();
  for (const seed of options.seeds) {
    const { shape, data } = forward.get(seed)!;
    cotangents.set(seed, { type: 'f32', shape, data: random(data.length) });
  }
  const gradients = await gradientsOf(graph, given, cotangents, options);

  const loss = (moves: ReadonlyMap<string, Float64Array>, step: number): number => {
    const moved = new Map(given);
    for (const [name, v] of moves) {
      const value = given.get(name)!;
      moved.set(name, { ...value, data: value.data.map((x, i) => x + step * v[i]!) });
    }
    interpret(graph, moved);
    return [...cotangents].reduce((sum, [seed, { data }]) => sum + dot(moved.get(seed)!.data, data), 0);
  };
  const floor = FLOOR * (Math.max(...[...gradients.values()].map(({ data }) => norm(data))) || 1);
  const errorAlong = (names: readonly string[]): number => {
    const moves = new Map<string, Float64Array>();
    let expected = 0;
    for (const name of names) {
      const g = gradients.get(name)!.data;
      const v = random(g.length);
      const size = Math.max(norm(g), floor) * norm(v);
      moves.set(
        name,
        v.map((x) => x / size),
      );
      expected += dot(g, v) / size;
    }
    const at = (step: number): number => loss(moves, step);
    const slope = (8 * (at(STEP) - at(-STEP)) - (at(2 * STEP) - at(-2 * STEP))) / (12 * STEP);
    const error = Math.abs(slope - expected);
    return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
  };
  const groups = together ? [options.wrt] : options.wrt.map((name) => [name]);
  return Object.fromEntries(
    groups.map((names) => [names.join(' '), Math.min(...Array.from({ length: directions }, () => errorAlong(names)))]),
  );
}

/** The gradients of the differentiated graph, by name. */
async function gradientsOf(
  graph: Graph,
  given: Values,
  cotangents: Values,
  options: DifferentiateOptions,
): Promise<Values> {
  const backward = differentiate(graph, options);
  const values = new Map(given);
  for (const item of backward.initializers) values.set(item.name, await readValue(backward, item));
  for (const [seed, value] of cotangents) values.set(`d_${seed}`, value);
  interpret(backward, values);
  return new Map(
    options.wrt.map((name) => {
      const gradient = values.get(`g_${name}`)!;
      const { shape } = given.get(name)!;
      if (gradient.shape.join() !== shape.join()) throw new Error(`g_${name} is [${gradient.shape}], not [${shape}]`);
      return [name, gradient];
    }),
  );
}
