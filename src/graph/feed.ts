// Initialisers that become inputs: weights that change between runs, such as those in training, without a new graph. They are
// fed in float32 under their own names, whatever their stored dtype.

import { OptionError } from '../base/portable.js';
import type { Graph, ValueInfo } from './graph.js';

/**
 * `graph` with the named initialisers as float32 inputs, after those it has.
 * @throws OptionError E_OPTION_GRADIENT for a name that is no initialiser
 */
export function feedInitializers(graph: Graph, names: readonly string[]): Graph {
  const fed = new Set(names);
  const found = graph.initializers.filter(({ name }) => fed.has(name));
  if (found.length !== fed.size) {
    const all = graph.initializers.map(({ name }) => name);
    const absent = names.find((name) => !all.includes(name))!;
    throw new OptionError('E_OPTION_GRADIENT', `${graph.name} has no tensor ${absent} that could be fed to it.`, {
      graph: graph.name,
      name: absent,
    });
  }
  const inputs = found.map(({ name, shape }): ValueInfo => ({ name, type: 'f32', shape }));
  return {
    ...graph,
    inputs: [...graph.inputs, ...inputs],
    initializers: graph.initializers.filter(({ name }) => !fed.has(name)),
    // What was widened from a stored dtype comes wide already.
    nodes: graph.nodes.map((node) =>
      node.op === 'Cast' && fed.has(node.inputs[0]!) ? { ...node, op: 'Identity', attributes: {} } : node,
    ),
  };
}
