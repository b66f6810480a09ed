// Cuts slices out of a block's values: channels of an MLP or of experts, heads with their keys. It is given the linears that
// read the value (o, down): it zeroes the columns of the slices that go, and with `least-squares` fits those that stay to what
// the linear should give. Rows of the linears before follow when the checkpoint is written (model/narrow.ts): without them the
// columns read zeros, so the model with zeros is the narrow one.
// Repair. `least-squares`: the least ‖T − W'X‖² + μ‖W' − W‖², μ = DAMPING·mean diag XXᵀ, over W' on the kept columns; where the
// linear has a bias, over the bias too: then G and the fit are about the mean of X, and the bias takes W_P·x̄ over.
// `bias`: only that, with the kept weights as they are (FLAP). `none`: nothing.

import { InternalError } from '../../base/index.js';
import { diagonalOf, type Gemm } from '../../linalg/index.js';
import type { Evidence, EvidenceName, Matrix, MatrixEdit, Operator, Prepared } from '../operator.js';
import { factoriseGram, type GramFactor, retarget } from '../sparsify/gram-factor.js';
import { eliminateGreedily, eliminationOf } from './elimination.js';
import {
  type Importance,
  leastSlices,
  scaleRows,
  scoreFlapColumns,
  scoreWandaColumns,
  sumOverSlices,
} from './importance.js';

export const REPAIRS = ['least-squares', 'bias', 'none'] as const;
export type Repair = (typeof REPAIRS)[number];

/** What the operator must know of a linear. */
export type Reader = {
  /** Columns of a slice. */
  readonly width: number;
  readonly bias: boolean;
  /** By row: what the residual gets of its output, where that is scaled. A row's errors and scores count with it. */
  readonly factors?: Float32Array;
};

export type CutOptions = {
  readonly importance: Importance;
  readonly repair: Repair;
  /** By the linear's name: those that are cut. */
  readonly readers: ReadonlyMap<string, Reader>;
  /** Of `taylor`: a score for each slice, by the linear's name. */
  readonly scores?: ReadonlyMap<string, Float64Array>;
};

const DAMPING = 0.01;

/** Whether the mean of some reader's input counts: that of one with a bias to take it over. */
const someBias = (readers: CutOptions['readers']): boolean => [...readers.values()].some(({ bias }) => bias);

export const cutOperator = (options: CutOptions): Operator => {
  const { importance, repair, readers } = options;
  const solves = repair === 'least-squares' || importance === 'obs';
  const centres = repair !== 'none' && someBias(readers);
  const sums: readonly EvidenceName[] = importance === 'flap' || centres ? ['columnSums'] : [];
  return {
    name: `${importance}/${repair}`,
    summary: `slices by ${importance}, repaired by ${repair}`,
    makes: ['keep'],
    needs: [solves ? 'gram' : 'squareSums', ...sums],
    patterns: [],
    ...(importance === 'wanda-sp' && repair === 'none' ? {} : { standIn: standInFor(readers) }),
    prepare: async (site, evidence, { gemm }) => prepareCut(options, site, evidence, gemm),
  };
};

/** Wanda-sp without a repair: it needs only what the dense pass measures. */
const standInFor = (readers: CutOptions['readers']): Operator =>
  cutOperator({ importance: 'wanda-sp', repair: 'none', readers });

function prepareCut(
  { importance, repair, readers, scores }: CutOptions,
  site: string,
  evidence: Evidence,
  gemm: Gemm | undefined,
): Prepared {
  const { gram, sequences, columnSums, tokens = 0 } = evidence;
  const squareSums = evidence.squareSums ?? (gram && diagonalOf(gram, Math.sqrt(gram.length)));
  if (!squareSums) throw new InternalError('E_INTERNAL_EVIDENCE', `${site} has no square sums.`);
  const moments = { squareSums, columnSums, tokens };
  const fits = (bias: boolean): boolean => bias && repair !== 'none';
  /** The factor of the Gram matrix, and of that about the mean. */
  const factors = new Map<'raw' | 'centred', Promise<GramFactor>>();
  const factorOf = (kind: 'raw' | 'centred'): Promise<GramFactor> => {
    if (!gram || !gemm) throw new InternalError('E_INTERNAL_EVIDENCE', `${site} has no Gram matrix.`);
    const made =
      factors.get(kind) ??
      factoriseGram(kind === 'raw' ? gram.slice() : centre(gram, columnSums!, tokens), Math.sqrt(gram.length), {
        ...{ gemm, sequences, damping: DAMPING, name: site },
      });
    factors.set(kind, made);
    return made;
  };
  return {
    movesBias: ({ id }) => fits(readers.get(id)?.bias ?? false),
    apply: async (unit, given, { keep }, pull): Promise<MatrixEdit> => {
      const reader = readers.get(unit.id);
      if (!reader || keep === undefined) throw new InternalError('E_INTERNAL_TREATMENT', `${unit.id} is not cut.`);
      const { width, bias, factors } = reader;
      const { rows, columns } = given;
      const count = columns / width - keep;
      const wanted = pull && gemm ? await retarget(given, pull, await factorOf('raw'), gemm) : given;
      if (count === 0) return { zeroed: new Uint8Array(rows * columns), ...(pull ? { weights: wanted.data } : {}) };
      const elimination = async () =>
        await eliminationOf(wanted, { width, factors }, await factorOf(fits(bias) ? 'centred' : 'raw'), gemm!);
      let gone: readonly number[];
      let weights = wanted.data;
      if (importance === 'obs') {
        const made = await elimination();
        gone = eliminateGreedily(made, count, site).order;
        if (repair === 'least-squares') weights = Float32Array.from(made.weights());
      } else {
        const seen = scaleRows(wanted, factors);
        gone = leastSlices(scoresOf(importance, seen, moments, width, scores?.get(unit.id)), count);
        if (repair === 'least-squares') {
          const made = await elimination();
          for (const slice of gone) made.remove(slice);
          weights = Float32Array.from(made.weights());
        }
      }
      const zeroed = zeroColumns(given, gone, width);
      const kept = weights.map((value, i) => (zeroed[i] === 1 ? 0 : value));
      const moved = fits(bias) ? meanOf(wanted, kept, columnSums!, tokens) : undefined;
      return {
        zeroed,
        ...(repair === 'least-squares' || pull ? { weights: kept } : {}),
        ...(moved ? { bias: moved } : {}),
      };
    },
  };
}

/** What `measureCosts` needs of the inputs of `readers`. */
export const costsNeed = (readers: CutOptions['readers']): readonly EvidenceName[] =>
  someBias(readers) ? ['gram', 'columnSums'] : ['gram'];

/**
 * What the cheapest way to take out 0, 1, 2, … slices of W costs, each time the cheapest slice: ‖ΔW·X‖² plus the ridge's part,
 * with as few slices as one left. Overwrites `gram`.
 */
export async function measureCosts(
  W: Matrix,
  { bias, ...slices }: Reader,
  evidence: Evidence & Required<Pick<Evidence, 'gram'>>,
  gemm: Gemm,
  site: string,
): Promise<readonly number[]> {
  const { sequences, columnSums, tokens = 0 } = evidence;
  const gram = bias ? centre(evidence.gram!, columnSums!, tokens) : evidence.gram!;
  const factor = await factoriseGram(gram, W.columns, { gemm, sequences, damping: DAMPING, name: site });
  const elimination = await eliminationOf(W, slices, factor, gemm);
  const { width } = slices;
  let sum = 0;
  return [0, ...eliminateGreedily(elimination, W.columns / width - 1, site).costs.map((cost) => (sum += cost))];
}

function scoresOf(
  importance: Exclude<Importance, 'obs'>,
  W: Matrix,
  moments: Parameters<typeof scoreFlapColumns>[1],
  width: number,
  given: Float64Array | undefined,
): Float64Array {
  switch (importance) {
    case 'wanda-sp':
      return sumOverSlices(scoreWandaColumns(W, moments), width);
    case 'flap':
      return sumOverSlices(scoreFlapColumns(W, moments), width);
    case 'taylor':
      if (given) return given;
      throw new InternalError('E_INTERNAL_EVIDENCE', 'taylor has no scores.');
    default:
      return importance satisfies never;
  }
}

/** Σ (x − x̄)ᵀ(x − x̄). */
function centre(gram: Float32Array, sums: Float64Array, tokens: number): Float32Array {
  const n = sums.length;
  return gram.map((value, i) => value - (sums[Math.floor(i / n)]! * sums[i % n]!) / tokens);
}

function zeroColumns({ rows, columns }: Matrix, slices: readonly number[], width: number): Uint8Array {
  const zeroed = new Uint8Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (const slice of slices) {
      const from = row * columns + slice * width;
      zeroed.fill(1, from, from + width);
    }
  }
  return zeroed;
}

/** (W − W')·x̄: [rows]. */
function meanOf({ rows, columns, data }: Matrix, kept: Float32Array, sums: Float64Array, tokens: number): Float32Array {
  const moved = new Float32Array(rows);
  for (let row = 0, i = 0; row < rows; row++) {
    let sum = 0;
    for (let j = 0; j < columns; j++, i++) sum += (data[i]! - kept[i]!) * sums[j]!;
    moved[row] = sum / tokens;
  }
  return moved;
}
