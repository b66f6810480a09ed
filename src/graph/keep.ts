// Cuts a graph at some of its outputs and at values that are given from outside: what the outputs do not need goes, nodes,
// initialisers and inputs alike.

import { InternalError } from '../base/index.js';
import type { Graph, ValueInfo } from './graph.js';

/**
 * The part of `graph` that computes `outputs`, by name. `given` are values that become inputs, by their names in the graph;
 * they get the name in the info.
 */
export function keepOutputs(
  graph: Graph,
  outputs: readonly string[],
  given: ReadonlyMap<string, ValueInfo> = new Map(),
): Graph {
  const kept = graph.outputs.filter(({ name }) => outputs.includes(name));
  if (kept.length !== outputs.length) {
    throw new InternalError('E_INTERNAL_GRAPH', `The graph ${graph.name} has no outputs ${outputs}.`, { outputs });
  }
  const wanted = new Set(outputs);
  const nameOf = (value: string): string => given.get(value)?.name ?? value;
  const nodes = graph.nodes
    .toReversed()
    .filter((node) => {
      if (!node.outputs.some((name) => wanted.has(name) && !given.has(name))) return false;
      for (const name of node.inputs) wanted.add(name);
      return true;
    })
    .toReversed()
    .map((node) => ({ ...node, inputs: node.inputs.map(nameOf) }));
  const taken = [...given].filter(([value]) => wanted.has(value)).map(([, info]) => info);
  return {
    ...graph,
    nodes,
    outputs: kept,
    inputs: [...graph.inputs.filter(({ name }) => wanted.has(name)), ...taken],
    initializers: graph.initializers.filter(({ name }) => wanted.has(name)),
  };
}
