// Reverse-mode differentiation, from a graph to a graph. The result recomputes the forward and goes through it backwards: with
// cotangents of some outputs as inputs, it gives the gradients of chosen inputs and initialisers. Nothing is kept between
// runs, so a block's inner values live as long as one run. What does not depend on a chosen name costs nothing.

import { OptionError } from '../base/portable.js';
import { Backward, refusal } from './gradients/backward.js';
import { passesOn, RULES } from './gradients/table.js';
import { type Graph, GraphBuilder, type Node } from './graph.js';
import { fixShape, inferShapes } from './infer.js';
import { keepOutputs } from './keep.js';

export type DifferentiateOptions = {
  /** Outputs whose cotangents come in, as inputs `d_<name>` of the outputs' shapes. */
  readonly seeds: readonly string[];
  /** Inputs, initialisers or inner values whose gradients are wanted, as outputs `g_<name>` of their shapes. */
  readonly wrt: readonly string[];
  /** Outputs of the forward that are outputs of the result too. */
  readonly keep?: readonly string[];
  /** Sizes of named dimensions. The others are known at run time. */
  readonly dims?: Readonly<Record<string, number>>;
};

/** The inputs and outputs of a differentiated graph. */
export const cotangentOf = (seed: string): string => `d_${seed}`;
export const gradientOf = (name: string): string => `g_${name}`;

/**
 * The graph of Σ_seeds ⟨d_seed, ∂seed/∂name⟩ for every name of `wrt`. Its inputs are those of `graph` and the cotangents. The
 * gradient of a stored float16 or bfloat16 weight is that of its float32 view.
 * @throws OptionError E_OPTION_GRADIENT for names that are not there, or that no seed depends on
 * @throws UnsupportedError E_UNSUPPORTED_GRADIENT for an operator on the way that has no rule
 */
export function differentiate(graph: Graph, { seeds, wrt, keep = [], dims = {} }: DifferentiateOptions): Graph {
  checkNames(graph, seeds, wrt, keep);
  const shapes = inferShapes(graph, dims);
  const g = new GraphBuilder('grad/');
  for (const { name, type, shape } of graph.inputs) g.input(name, type, fixShape(shape, dims));
  g.add(graph);
  const live = liveValues(graph, wrt);
  const back = new Backward(g, shapes, live);
  for (const seed of seeds) back.give(seed, () => g.input(cotangentOf(seed), 'f32', shapes.of(seed)));
  for (const node of graph.nodes.toReversed()) {
    const cotangents = node.outputs.map((output) => back.of(output));
    if (cotangents.every((cotangent) => cotangent === undefined)) continue;
    if (node.inputs.some((input) => live.has(input))) ruleOf(node).apply(back, node, cotangents);
  }
  for (const name of wrt) {
    const gradient = back.of(name);
    if (gradient === undefined) {
      throw new OptionError(
        'E_OPTION_GRADIENT',
        `${graph.name}: ${seeds.join(', ')} does not depend on ${name}, so there is no gradient. Leave ${name} out.`,
        { graph: graph.name, name, seeds },
      );
    }
    g.output(gradient, gradientOf(name), shapes.of(name));
  }
  const kept = graph.outputs.filter(({ name }) => keep.includes(name));
  const whole = g.build(`gradients of ${graph.name}`, graph.folder);
  const outputs = [...kept.map((output) => ({ ...output, shape: shapes.of(output.name) })), ...whole.outputs];
  const needed = keepOutputs({ ...whole, outputs }, [...keep, ...wrt.map(gradientOf)]);
  return { ...needed, inputs: whole.inputs };
}

/** What depends on a name of `wrt`, and the names themselves. */
function liveValues(graph: Graph, wrt: readonly string[]): ReadonlySet<string> {
  const live = new Set(wrt);
  for (const { op, inputs, outputs } of graph.nodes) {
    if (passesOn(op) && inputs.some((input) => live.has(input))) for (const output of outputs) live.add(output);
  }
  return live;
}

function ruleOf(node: Node) {
  const rule = RULES.get(node.op);
  if (!rule) throw refusal(node, `the operators that have one are ${[...RULES.keys()].join(', ')}`);
  const unknown = Object.keys(node.attributes).find((name) => !rule.attributes.includes(name));
  if (unknown !== undefined) throw refusal(node, `its rule does not know the attribute ${unknown}`);
  return rule;
}

/** @throws OptionError E_OPTION_GRADIENT */
function checkNames(graph: Graph, seeds: readonly string[], wrt: readonly string[], keep: readonly string[]): void {
  const outputs = graph.outputs.map(({ name }) => name);
  const own = [...graph.inputs, ...graph.initializers].map(({ name }) => name);
  const values = new Set([...own, ...graph.nodes.flatMap((node) => node.outputs)]);
  const refuse = (what: string, expected: readonly string[], got: string): never => {
    throw new OptionError(
      'E_OPTION_GRADIENT',
      `${graph.name}: ${what}: expected names of ${expected.join(', ')}, got ${got || 'none'}.`,
      { graph: graph.name, what, expected, got },
    );
  };
  const floats = own.filter((name) => !name.startsWith('int64['));
  for (const [what, names] of [
    ['seeds', seeds],
    ['keep', keep],
  ] as const) {
    const absent = names.find((name, at) => !outputs.includes(name) || names.indexOf(name) !== at);
    if (absent !== undefined || (what === 'seeds' && names.length === 0)) refuse(what, outputs, absent ?? '');
  }
  const absent = wrt.find((name, at) => !values.has(name) || wrt.indexOf(name) !== at);
  if (absent !== undefined || wrt.length === 0) refuse('wrt', floats, absent ?? '');
}
