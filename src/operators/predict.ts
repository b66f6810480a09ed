// Predicts a matrix between two others from how the matrices of a model follow each other (LESA, ACL 2025). Of one kind
// of matrix W_1 … W_L [a, b], C = [W_1 … W_L] = U·S·Vᵀ, V_i = S⁻¹UᵀW_i, and G predicts V_i from [V_{i−1} | V_{i+1}]:
//   W between l and l+1 = U·S·G([V_l | V_{l+1}])
// The paper trains G, a small network, with AdamW. Here G is linear, the ridge regression over all rows of all triples, in
// closed form: P = (Σ ZᵀZ + λI)⁻¹ Σ ZᵀV_i with Z = [V_{i−1} | V_{i+1}]. A turn of the rows changes no term of it, so any V_i with
// ΣV_iV_iᵀ = I serves: V_i = R·W_i with RᵀR = (C·Cᵀ + εI)⁻¹, a Cholesky factor instead of the SVD. U·S undoes R, so
//   W between l and l+1 = [W_l | W_{l+1}]·P
// λ is the one of DAMPINGS that errs least on held-out triples: each is predicted by a P fitted without its part of the triples.
// The paper's second term of the loss (norms of predictions) is left out: it is not a least square.

import { InternalError } from '../base/index.js';
import type { Gemm } from '../linalg/index.js';
import { transpose } from '../tensor/index.js';
import { factoriseGram, retarget } from './sparsify/gram-factor.js';

/** λ as a share of the mean of the diagonal. */
const DAMPINGS = [0.01, 0.1, 1, 10] as const;
/** ε as a share of the mean of the diagonal of C·Cᵀ. */
const WHITENING = 1e-4;
/** Parts of the triples that are held out in turn. */
const PARTS = 4;

/** The matrices of one kind by block, each [rows, columns]. */
export type Stack = {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** Blocks i whose neighbours i − 1 and i + 1 have the matrix too; ascending. */
  readonly triples: readonly number[];
  /** Every block that has it, ascending. */
  readonly blocks: readonly number[];
  read(block: number): Promise<Float32Array>;
};

/** How far predictions are from held-out matrices: √(Σ‖Ŵ − W‖² / Σ‖W‖²) over all triples. Of no matrix at all it is 1. */
export type HeldOut = {
  readonly lesa: number;
  readonly average: number;
  /** Of the matrix of the block before. */
  readonly copy: number;
  /** ‖Ŵ‖ / ‖W‖ of LESA's. */
  readonly norm: number;
  readonly damping: number;
  readonly triples: number;
};

export type Predictor = {
  readonly heldOut: HeldOut;
  /** The matrix between blocks `before` and `before` + 1. */
  predict(before: number): Promise<Float32Array>;
};

type Sums = { readonly G: Float32Array; readonly B: Float32Array };

/** Fits a predictor to a stack with at least two triples. */
export async function fitPredictor(stack: Stack, gemm: Gemm): Promise<Predictor> {
  const { triples } = stack;
  if (triples.length < 2) {
    throw new InternalError('E_INTERNAL_PREDICT', `${stack.name}: ${triples.length} triples; please report this.`);
  }
  const turned = await whiten(stack, gemm);
  const partOf = (i: number): number => i % Math.min(PARTS, triples.length);
  const parts: Sums[] = [];
  for (const [i, block] of triples.entries()) {
    const own = await sumsOf(turned, block, gemm);
    const sums = parts[partOf(i)];
    if (sums) addTo(sums, own);
    else parts.push(own);
  }
  const all: Sums = { G: parts[0]!.G.slice(), B: parts[0]!.B.slice() };
  for (const part of parts.slice(1)) addTo(all, part);
  const errors = new Map<number, { error: number; norm: number }>();
  for (const [p, part] of parts.entries()) {
    const rest = { G: all.G.map((value, i) => value - part.G[i]!), B: all.B.map((value, i) => value - part.B[i]!) };
    for (const damping of DAMPINGS) {
      const P = await solve(stack, rest, damping, gemm);
      const sum = errors.get(damping) ?? { error: 0, norm: 0 };
      errors.set(damping, sum);
      for (const [i, block] of triples.entries()) {
        if (partOf(i) !== p) continue;
        const made = await apply(stack, P, block - 1, block + 1, gemm);
        sum.error += squares(made, await stack.read(block));
        sum.norm += squares(made);
      }
    }
  }
  const [damping, best] = [...errors].reduce((a, b) => (b[1].error < a[1].error ? b : a));
  let [total, average, copy] = [0, 0, 0];
  for (const block of triples) {
    const [a, W, b] = [await stack.read(block - 1), await stack.read(block), await stack.read(block + 1)];
    total += squares(W);
    copy += squares(a, W);
    average += squares(
      a.map((value, i) => (value + b[i]!) / 2),
      W,
    );
  }
  const P = await solve(stack, all, damping, gemm);
  const share = (sum: number): number => Math.sqrt(sum / total);
  return {
    heldOut: {
      ...{ lesa: share(best.error), average: share(average), copy: share(copy), norm: share(best.norm) },
      ...{ damping, triples: triples.length },
    },
    predict: (before) => apply(stack, P, before, before + 1, gemm),
  };
}

/** V_iᵀ [columns, rows] of a block. */
type Turned = { readonly stack: Stack; read(block: number): Promise<Float32Array> };

async function whiten(stack: Stack, gemm: Gemm): Promise<Turned> {
  const { rows, columns, name } = stack;
  const gram = new Float32Array(rows * rows);
  for (const block of stack.blocks) {
    const W = await stack.read(block);
    const product = await gemm.multiply({ rows, columns, data: W.slice() }, { rows, columns, data: W.slice() }, 'B');
    for (let i = 0; i < gram.length; i++) gram[i]! += product[i]!;
  }
  // H = 2/sequences · gram: two sequences keep its scale.
  const { U } = await factoriseGram(gram, rows, { gemm, sequences: 2, damping: WHITENING, name: `all ${name}` });
  return {
    stack,
    read: async (block) => {
      const W = { rows: columns, columns: rows, data: transpose(await stack.read(block), rows, columns) };
      return await gemm.multiply(W, { rows, columns: rows, data: U.slice() }, 'B');
    },
  };
}

/** Zᵀ of a triple, [2·columns, rows]. */
async function besides(turned: Pick<Turned, 'read'>, before: number, after: number): Promise<Float32Array> {
  const [a, b] = [await turned.read(before), await turned.read(after)];
  const Z = new Float32Array(a.length + b.length);
  Z.set(a);
  Z.set(b, a.length);
  return Z;
}

/** ZᵀZ and VᵀZ of a triple. */
async function sumsOf(turned: Turned, block: number, gemm: Gemm): Promise<Sums> {
  const { rows, columns } = turned.stack;
  const Z = await besides(turned, block - 1, block + 1);
  const ofZ = (): { rows: number; columns: number; data: Float32Array } => ({
    rows: 2 * columns,
    columns: rows,
    data: Z.slice(),
  });
  const V = { rows: columns, columns: rows, data: await turned.read(block) };
  return { G: await gemm.multiply(ofZ(), ofZ(), 'B'), B: await gemm.multiply(V, ofZ(), 'B') };
}

/** Pᵀ [columns, 2·columns]. */
async function solve({ columns, name }: Stack, { G, B }: Sums, damping: number, gemm: Gemm): Promise<Float32Array> {
  const factor = await factoriseGram(G.slice(), 2 * columns, { gemm, sequences: 2, damping, name: `pairs of ${name}` });
  const none = { rows: columns, columns: 2 * columns, data: new Float32Array(B.length) };
  return (await retarget(none, B, factor, gemm)).data;
}

/** [W_before | W_after]·P. */
async function apply(stack: Stack, P: Float32Array, before: number, after: number, gemm: Gemm): Promise<Float32Array> {
  const { rows, columns } = stack;
  const read = async (block: number): Promise<Float32Array> => transpose(await stack.read(block), rows, columns);
  const Z = { rows: 2 * columns, columns: rows, data: await besides({ read }, before, after) };
  const made = await gemm.multiply({ rows: columns, columns: 2 * columns, data: P.slice() }, Z);
  return transpose(made, columns, rows);
}

function addTo(to: Sums, from: Sums): void {
  for (const name of ['G', 'B'] as const) for (let i = 0; i < to[name].length; i++) to[name][i]! += from[name][i]!;
}

/** ‖A − B‖², or ‖A‖². */
function squares(A: Float32Array, B?: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < A.length; i++) sum += (A[i]! - (B ? B[i]! : 0)) ** 2;
  return sum;
}
