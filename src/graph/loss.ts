// What is made of a graph's outputs: the squared error of one, sums and means of squares.

import { type Graph, GraphBuilder, int } from './graph.js';
import { inferShapes } from './infer.js';

/** The output of `squaredError`, and its further input. */
export const ERROR = 'error';
export const TARGET = 'target';

/** `graph` with the output `error` besides its own: how far its output `name` is from `target`, with the last axis at 1. */
export function squaredError(graph: Graph, name: string): Graph {
  const g = new GraphBuilder('error/');
  for (const input of graph.inputs) g.input(input.name, input.type, input.shape);
  g.add(graph);
  const shape = inferShapes(graph).of(name);
  const difference = g.op('Sub', [name, g.input(TARGET, 'f32', shape)]);
  const errors = g.op('ReduceSumSquare', [difference, g.shape([-1])], { keepdims: int(1) });
  g.output(errors, ERROR, shape.with(-1, 1));
  const built = g.build(graph.name, graph.folder);
  return { ...built, outputs: [...graph.outputs, ...built.outputs] };
}

/** The output of `sumSquares` that has the squares of an output. */
export const squaresOf = (name: string): string => `squares of ${name}`;

/** `graph` with Σ v², [1], of each output v of `names` in its place. */
export function sumSquares(graph: Graph, names: readonly string[]): Graph {
  const g = new GraphBuilder('squares/');
  g.add(graph);
  for (const name of names) {
    const total = g.op('ReduceSumSquare', [name], { keepdims: int(0) });
    g.output(g.op('Reshape', [total, g.shape([1])]), squaresOf(name), [1]);
  }
  const { nodes, initializers, outputs } = g.build(graph.name, graph.folder);
  const kept = graph.outputs.filter(({ name }) => !names.includes(name));
  return { ...graph, nodes, initializers, outputs: [...kept, ...outputs] };
}

/**
 * `graph` with further outputs [tokens], by the names in `groups`: the mean, over the named values [tokens, width] of a group,
 * of the mean square along their last axis. These values are outputs no more.
 */
export function meanSquares(graph: Graph, groups: ReadonlyMap<string, readonly string[]>): Graph {
  const g = new GraphBuilder('means/');
  g.add(graph);
  const infoOf = new Map(graph.outputs.map((output) => [output.name, output]));
  for (const [group, names] of groups) {
    const means = names.map((name) => {
      const width = Number(infoOf.get(name)!.shape.at(-1));
      const factor = g.constant(`1/(${names.length}·${width})`, Float32Array.of(1 / (names.length * width)), [1]);
      return g.op('Mul', [g.op('ReduceSumSquare', [name, g.shape([-1])], { keepdims: int(0) }), factor]);
    });
    const mean = means.reduce((sum, next) => g.op('Add', [sum, next]));
    g.output(mean, group, ['N']);
  }
  const { nodes, initializers, outputs } = g.build(graph.name, graph.folder);
  const taken = new Set([...groups.values()].flat());
  return {
    ...graph,
    nodes,
    initializers,
    outputs: [...graph.outputs.filter(({ name }) => !taken.has(name)), ...outputs],
  };
}
