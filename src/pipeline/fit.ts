// Fits linears to what they should give, in closed form. With X̃ what a linear reads, T what it should give and
// pull = (T − W·X̃)·X̃ᵀ:   W' = W + pull·(X̃X̃ᵀ + μI)⁻¹,   the least ‖T − W'·X̃‖² + μ‖W' − W‖²,   μ = DAMPING·mean diag X̃X̃ᵀ.
// Zeros of a sparse W stay zeros (operators/sparsify/refit.ts).

import { NumericError } from '../base/index.js';
import type { TensorEdit } from '../checkpoint/index.js';
import { diagonalOf, type Gemm } from '../linalg/index.js';
import { factoriseGram, type Matrix, type Operator, refit, retarget } from '../operators/index.js';
import type { DType } from '../tensor/index.js';
import { storable } from './edit-linear.js';

export const DAMPING = 0.01;
/** A linear with more zeros than this is sparse. Others have a few by chance. */
const SPARSE = 0.01;
/** Conjugate gradients to a few digits of float32. */
const TURNS = 100;

export type FitOptions = { readonly name: string; readonly sequences: number; readonly gemm: Gemm };

/** The W' of the header for every W that reads the input of a Gram matrix. */
export type Fit = (W: Matrix, pull: Float32Array) => Promise<Float32Array>;

/** Prepares fits of all linears that read one input. Overwrites `gram`. */
export function prepareFit(gram: Float32Array, columns: number, { name, sequences, gemm }: FitOptions): Fit {
  const diagonal = diagonalOf(gram, columns);
  const seen = diagonal.filter((value) => value !== 0);
  const mean = seen.reduce((a, b) => a + b, 0) / seen.length;
  // A column that is always 0 has no pull either, so its weights stay, whatever stands here.
  for (let j = 0; j < columns; j++) if (diagonal[j] === 0) gram[j * (columns + 1)] = mean;
  let factor: ReturnType<typeof factoriseGram> | undefined;
  return async (W, pull) => {
    if (seen.length === 0) return W.data; // an expert that no token is given to
    const zeros = W.data.reduce((count, value) => count + (value === 0 ? 1 : 0), 0);
    if (zeros > SPARSE * W.data.length) {
      const mask = Uint8Array.from(W.data, (value) => (value === 0 ? 1 : 0));
      return await refit(W, mask, { H: gram, damping: DAMPING * mean, pull }, gemm, TURNS);
    }
    factor ??= factoriseGram(gram.slice(), columns, { gemm, sequences, damping: DAMPING, name });
    return (await retarget(W, pull, await factor, gemm)).data;
  };
}

/** Makes no zeros and no grid: every linear only follows what it should give (operator.ts, `pull`). */
export const followStream: Operator = {
  name: 'follow',
  summary: 'weights that follow the dense stream',
  makes: [],
  needs: ['gram'],
  patterns: [],
  prepare: async (name, { gram, sequences }, { gemm }) => {
    const columns = Math.sqrt(gram!.length);
    const fit = prepareFit(gram!, columns, { name, sequences, gemm: gemm! });
    return {
      apply: async (_unit, W, _treatment, pull) => {
        const zeroed = new Uint8Array(W.data.length);
        return pull ? { zeroed, weights: await fit(W, pull) } : { zeroed };
      },
    };
  },
};

/**
 * A fitted tensor in the file's dtype.
 * @throws NumericError E_NUMERIC_OVERFLOW if the dtype cannot hold a value
 */
export function fittedTensor(
  name: string,
  values: Float32Array,
  { dtype, shape }: { readonly dtype: DType; readonly shape: readonly number[] },
): TensorEdit {
  const bytes = storable(values, dtype, (first) => {
    const message = `${name}: fitted number ${first} is not a finite ${dtype}. Check the calibration text, or leave --repair and --merge out.`;
    throw new NumericError('E_NUMERIC_OVERFLOW', message, { tensor: name, dtype, at: first });
  });
  return { name, dtype, shape, read: async () => bytes };
}
