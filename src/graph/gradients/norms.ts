// Norms over the last axis, with scale g. r is the reciprocal of the root of the mean square, or of the deviation:
//   RMS:    x̂ = r·x;        dx = r·(g·dy − x̂·mean(g·dy·x̂));                 dg = Σ dy·x̂
//   layer:  x̂ = r·(x − μ);  dx = r·(g·dy − mean(g·dy) − x̂·mean(g·dy·x̂));   dg = Σ dy·x̂;  db = Σ dy

import { type Node, numberOf } from '../graph.js';
import { axisFrom } from '../infer.js';
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
  const square = back.mean(back.multiply(values, values));
  const epsilon = back.scalar(numberOf(node.attributes.epsilon, 1e-5));
  const r = back.op('Reciprocal', [back.op('Sqrt', [back.op('Add', [square, epsilon])])]);
  const normed = back.multiply(values, r);
  back.give(scale, () => back.unbroadcast(back.multiply(dy, normed), shape, scale));
  back.give(x, () => {
    const scaled = back.multiply(dy, scale);
    const along = back.multiply(normed, back.mean(back.multiply(scaled, normed)));
    const rest = centred ? back.op('Sub', [scaled, back.mean(scaled)]) : scaled;
    return back.multiply(back.op('Sub', [rest, along]), r);
  });
}

export const RMSNormalization: Rule = { attributes, apply: (back, node, [dy]) => apply(back, node, dy!, false) };
export const LayerNormalization: Rule = { attributes, apply: (back, node, [dy]) => apply(back, node, dy!, true) };
