// Matrix products, on the engine or in plain double precision. `multiply` takes its operands over: their buffers move
// to the engine's thread without a copy. Several workers divide the rows of A; the division changes no bit of the
// result.

import { handOver, settleAll, withResources } from '../base/index.js';
import type { Engine, Session } from '../engine/index.js';
import { GraphBuilder, int } from '../graph/index.js';
import type { Matrix } from './matrix.js';

export interface Gemm {
  /**
   * A [m, k] · B [k, n], or A · Bᵀ with B [n, k]: [m, n]. Each operand must own its whole buffer, and must not be used
   * afterwards.
   */
  multiply(A: Matrix, B: Matrix, transposed?: 'B'): Promise<Float32Array>;
}

export interface EngineGemm extends Gemm {
  release(): Promise<void>;
}

/** A worker gets a multiple of this many rows. */
const ROWS_PER_WORKER = 64;

function loadProduct(engine: Engine, transB: boolean): Promise<Session> {
  const g = new GraphBuilder();
  const a = g.input('a', 'f32', ['m', 'k']);
  const b = g.input('b', 'f32', transB ? ['n', 'k'] : ['k', 'n']);
  g.output(g.op('Gemm', [a, b], { transB: int(transB ? 1 : 0) }), 'y', ['m', 'n']);
  return engine.load(g.build(transB ? 'A·Bᵀ' : 'A·B', undefined));
}

/** Products on an engine, in float32. */
export async function createGemm(engine: Engine): Promise<EngineGemm> {
  const plain = await loadProduct(engine, false);
  const transposing = await handOver(plain, () => loadProduct(engine, true));
  const run = async (session: Session, A: Matrix, B: Matrix): Promise<Float32Array> => {
    const { y } = await session.run({ a: tensor(A), b: tensor(B) }, true);
    return y!.data as Float32Array;
  };
  return {
    multiply: async (A, B, transposed) => {
      const n = transposed ? B.rows : B.columns;
      if (A.rows === 0 || n === 0 || A.columns === 0) return new Float32Array(A.rows * n);
      const session = transposed ? transposing : plain;
      const parts = Math.min(engine.workers, Math.floor(A.rows / ROWS_PER_WORKER));
      if (parts <= 1) return await run(session, A, B);
      const share = Math.ceil(A.rows / parts / ROWS_PER_WORKER) * ROWS_PER_WORKER;
      const y = new Float32Array(A.rows * n);
      const multiplyRows = async (top: number): Promise<void> => {
        const bottom = Math.min(top + share, A.rows);
        const rows = { ...A, rows: bottom - top, data: A.data.slice(top * A.columns, bottom * A.columns) };
        y.set(await run(session, rows, { ...B, data: B.data.slice() }), top * n);
      };
      await settleAll(Array.from({ length: Math.ceil(A.rows / share) }, (_, part) => multiplyRows(part * share)));
      return y;
    },
    release: () =>
      withResources(async (own) => {
        await own(plain);
        await own(transposing);
      }),
  };
}

const tensor = ({ rows, columns, data }: Matrix) => ({ type: 'f32', shape: [rows, columns], data }) as const;

/** Products in plain TypeScript with sums in double precision: the reference implementation. */
export const plainGemm: Gemm = {
  multiply: async (A, B, transposed) => {
    const n = transposed ? B.rows : B.columns;
    const [down, across] = transposed ? [1, B.columns] : [B.columns, 1];
    const y = new Float32Array(A.rows * n);
    for (let i = 0; i < A.rows; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let k = 0; k < A.columns; k++) sum += A.data[i * A.columns + k]! * B.data[k * down + j * across]!;
        y[i * n + j] = sum;
      }
    }
    return y;
  },
};
