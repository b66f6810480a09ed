// A process that ends, in the way its argument names, while both workers are inside a run of a few hundred milliseconds; with
// `early`, while they are started.

import { createOrtEngine } from '../../dist/engine/index.js';
import { GraphBuilder, int } from '../../dist/graph/index.js';

const N = 1536;
const g = new GraphBuilder();
const x = g.input('x', 'f32', [N, N]);
let y = x;
for (let i = 0; i < 4; i++) y = g.op('Gemm', [y, x], { transB: int(1) });
g.output(y, 'y', [N, N]);

if (process.argv[2] === 'early') setTimeout(() => process.exit(3), 30);
const engine = await createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
const session = await engine.load(g.build('long', undefined));
const input = { type: 'f32', shape: [N, N], data: new Float32Array(N * N) };
let finished = 0;
const runs = [1, 2].map(() =>
  session.run({ x: input }).then(
    () => finished++,
    () => {},
  ),
);
setTimeout(async () => {
  if (finished > 0) throw new Error('the run was over before its end was tried; make it longer');
  if (process.argv[2] === 'exit') process.exit(3);
  if (process.argv[2] === 'throw') throw new Error('the end');
  await engine.close();
  await Promise.all(runs);
}, 60);
