// The smallest model to create a session with: y = −x.

import { GraphBuilder, serialiseOnnx } from '../../graph/index.js';

export function smallestModel(): Uint8Array {
  const g = new GraphBuilder();
  g.output(g.op('Neg', [g.input('x', 'f32', [1])]), 'y', [1]);
  return serialiseOnnx(g.build('smallest', undefined));
}
