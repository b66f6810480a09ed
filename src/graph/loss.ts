// A graph's result as an error: Σ (y − target)² along the last axis, with a new input `target` of y's shape.

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
