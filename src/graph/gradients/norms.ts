// Norms over the last axis, with scale g. r is the reciprocal of the root of the mean square, or of the deviation:
//   RMS:    x̂ = r·x;        dx = r·(g·dy − x̂·mean(g·dy·x̂));                 dg = Σ dy·x̂
//   layer:  x̂ = r·(x − μ);  dx = r·(g·dy − mean(g·dy) − x̂·mean(g·dy·x̂));   dg = Σ dy·x̂;  db = Σ dy

import { type Node, numberOf } from '../graph.js';
import { axisFrom } from '../infer.js';
import { countOf, isStatic } from '../sizes.js';
import { type Backward, type Rule, refusal } from './backward.js';

const attributes = ['axis', 'epsilon'];

function apply(back: Backward, node: Node, dy: string, centred: boolean): void {
  const [x, scale, bias] = node.inputs as [string, string, string?];
  const shape = back.shapeOf(x);
  if (axisFrom(numberOf(node.attributes.axis, -1), shape.length) !== shape.length - 1) {
    throw refusal(node, 'only norms over the last axis have one');
  }
  back.give(bias, () => back.unbroadcast(dy, shape, bias!));
  if (!back.isLive(x) && !back.isLive(scale)) return;
  const values = centred ? back.op('Sub', [x, back.mean(x)]) : x;
  const { r, normed } = normedOf(back, node, values);
  back.give(scale, () => back.unbroadcast(back.multiply(dy, normed), shape, scale));
  back.give(x, () => through(back, back.multiply(dy, scale), normed, r, centred));
}

/** x̂, and r. */
function normedOf(back: Backward, node: Node, values: string): { readonly normed: string; readonly r: string } {
  const square = back.mean(back.multiply(values, values));
  const epsilon = back.scalar(numberOf(node.attributes.epsilon, 1e-5));
  const r = back.op('Reciprocal', [back.op('Sqrt', [back.op('Add', [square, epsilon])])]);
  return { normed: back.multiply(values, r), r };
}

/** dx of `scaled`, which is g·dy. */
function through(back: Backward, scaled: string, normed: string, r: string, centred: boolean): string {
  const along = back.multiply(normed, back.mean(back.multiply(scaled, normed)));
  const rest = centred ? back.op('Sub', [scaled, back.mean(scaled)]) : scaled;
  return back.multiply(back.op('Sub', [rest, along]), r);
}

/** The layer norm of each group of channels, with a scale and a bias for each channel. */
export const GroupNormalization: Rule = {
  attributes: ['num_groups', 'epsilon'],
  apply: (back, node, [dy]) => {
    const [x, scale, bias] = node.inputs as [string, string, string];
    const shape = back.shapeOf(x);
    const [B, C, ...inner] = shape;
    if (typeof C !== 'number' || !isStatic(inner)) throw refusal(node, 'only one over axes of known sizes has one');
    const groups = numberOf(node.attributes.num_groups, 1);
    const grouped = (value: string): string => back.reshape(value, [B!, groups, (C / groups) * Number(countOf(inner))]);
    const byChannel = (value: string): string => back.sum(value, [...shape.keys()].toSpliced(1, 1), false);
    back.give(bias, () => byChannel(dy!));
    if (!back.isLive(x) && !back.isLive(scale)) return;
    const values = grouped(x);
    const { r, normed } = normedOf(back, node, back.op('Sub', [values, back.mean(values)]));
    back.give(scale, () => byChannel(back.multiply(dy!, back.like(normed, x))));
    back.give(x, () => {
      const scaled = back.multiply(dy!, back.reshape(scale, [C, ...inner.map(() => 1)]));
      return back.like(through(back, grouped(scaled), normed, r, true), x);
    });
  },
};

export const RMSNormalization: Rule = { attributes, apply: (back, node, [dy]) => apply(back, node, dy!, false) };
export const LayerNormalization: Rule = { attributes, apply: (back, node, [dy]) => apply(back, node, dy!, true) };
