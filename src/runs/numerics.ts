// What an engine makes of fixed inputs, to the last bit: a product, a softmax over its rows, an activation and a sum. Processors
// of another class sum in another order. A run's losses are only comparable if all that compute them agree in this.

import { createHash } from 'node:crypto';
import { arch } from 'node:process';
import { createRng, type Own, VERSION, withResources } from '../base/index.js';
import { createOrtEngine, type Engine } from '../engine/index.js';
import { GraphBuilder, int } from '../graph/index.js';

/** Rows, inner size and columns: each leaves a remainder in every width of vectors. */
const [ROWS, INNER, COLUMNS] = [67, 1021, 131];

/** The digest of this process. @throws as `createOrtEngine` */
export const measureNumerics = (): Promise<string> =>
  withResources(async (own) =>
    digestNumerics(own, await own(createOrtEngine({ device: 'cpu', workers: 1, threads: 1 }))),
  );

/** SHA-256 of Layerwise's version, the engine, the processor's family, and the bits of its results. */
async function digestNumerics(own: Own, engine: Engine): Promise<string> {
  const g = new GraphBuilder();
  const a = g.input('a', 'f32', [ROWS, INNER]);
  const b = g.input('b', 'f32', [INNER, COLUMNS]);
  const product = g.op('MatMul', [a, b]);
  g.output(product, 'product', [ROWS, COLUMNS]);
  g.output(g.op('Softmax', [product], { axis: int(-1) }), 'softmax', [ROWS, COLUMNS]);
  g.output(g.op('Sigmoid', [product]), 'sigmoid', [ROWS, COLUMNS]);
  const squares = g.op('ReduceSum', [g.op('Mul', [a, a]), g.shape([0])], { keepdims: int(0) });
  g.output(squares, 'squares', [INNER]);
  const hash = createHash('sha256').update(JSON.stringify([VERSION, engine.name, engine.device, arch]));
  const session = await own(engine.load(g.build('numerics', undefined)));
  const rng = createRng(1);
  const draw = (shape: readonly [number, number]) => {
    const data = Float32Array.from({ length: shape[0] * shape[1] }, () => rng.below(1 << 20) / (1 << 18) - 2);
    return { type: 'f32', shape, data } as const;
  };
  const outputs = await session.run({ a: draw([ROWS, INNER]), b: draw([INNER, COLUMNS]) });
  for (const name of ['product', 'softmax', 'sigmoid', 'squares']) {
    const { buffer, byteOffset, byteLength } = outputs[name]!.data;
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest('hex');
}
