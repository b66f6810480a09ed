// Cuts a graph down to some of its outputs: what they do not need goes, nodes and initialisers alike.

import { InternalError } from '../base/index.js';
import type { Graph } from './graph.js';

/** The part of `graph` that computes `outputs`, by name. Inputs that nothing reads any more go too. */
export function keepOutputs(graph: Graph, outputs: readonly string[]): Graph {
  const kept = graph.outputs.filter(({ name }) => outputs.includes(name));
  if (kept.length !== outputs.length) {
    throw new InternalError('E_INTERNAL_GRAPH', `The graph ${graph.name} has no outputs ${outputs}.`, { outputs });
  }
  const wanted = new Set(outputs);
  const nodes = graph.nodes
    .toReversed()
    .filter((node) => {
      if (!node.outputs.some((name) => wanted.has(name))) return false;
      for (const name of node.inputs) wanted.add(name);
      return true;
    })
    .toReversed();
  return {
    ...graph,
    nodes,
    outputs: kept,
    inputs: graph.inputs.filter(({ name }) => wanted.has(name)),
    initializers: graph.initializers.filter(({ name }) => wanted.has(name)),
  };
}
