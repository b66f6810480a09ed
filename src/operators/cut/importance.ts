// What a slice is worth (a channel, or the query heads that share their keys), by the columns of the linear that reads it:
//   wanda-sp   Σ_rows |W_c|·‖x_c‖                 Wanda's score, summed over a column
//   flap       Var(x_c)·‖W_c‖²                    FLAP (arXiv 2312.11983, eq. 5): what a mean cannot stand in for
//   taylor     Σ |w·∂loss/∂w| over all of the slice's weights   LLM-Pruner (arXiv 2305.11627), first order, element by element
// A slice of several columns has their sum. `obs` is not a score: it removes one slice at a time (elimination.ts).

import type { Evidence, Matrix } from '../operator.js';

export const IMPORTANCES = ['obs', 'wanda-sp', 'flap', 'taylor'] as const;
export type Importance = (typeof IMPORTANCES)[number];

type Moments = Required<Pick<Evidence, 'squareSums'>> & Pick<Evidence, 'columnSums' | 'tokens'>;

/** [columns]. */
export function scoreWandaColumns({ rows, columns, data }: Matrix, { squareSums }: Moments): Float64Array {
  const scores = new Float64Array(columns);
  for (let row = 0, i = 0; row < rows; row++) for (let j = 0; j < columns; j++, i++) scores[j]! += Math.abs(data[i]!);
  return scores.map((score, j) => score * Math.sqrt(squareSums![j]!));
}

/** [columns]. Needs column sums and the number of tokens. */
export function scoreFlapColumns({ rows, columns, data }: Matrix, evidence: Moments): Float64Array {
  const { squareSums, columnSums, tokens } = evidence;
  const squares = new Float64Array(columns);
  for (let row = 0, i = 0; row < rows; row++) for (let j = 0; j < columns; j++, i++) squares[j]! += data[i]! * data[i]!;
  return squares.map((square, j) => {
    const mean = columnSums![j]! / tokens!;
    return square * Math.max(0, squareSums![j]! / tokens! - mean * mean);
  });
}

/** The matrix as the residual gets its output. */
export const scaleRows = ({ rows, columns, data }: Matrix, factors: Float32Array | undefined): Matrix => ({
  ...{ rows, columns },
  data: factors ? data.map((value, i) => value * factors[Math.floor(i / columns)]!) : data,
});

/** The sums of columns over slices of `width`: [columns / width]. */
export const sumOverSlices = (scores: Float64Array, width: number): Float64Array =>
  Float64Array.from({ length: scores.length / width }, (_, slice) =>
    scores.subarray(slice * width, (slice + 1) * width).reduce((a, b) => a + b, 0),
  );

/** The `count` slices with the lowest scores; of equals the first. */
export const leastSlices = (scores: Float64Array, count: number): readonly number[] =>
  [...scores.keys()].sort((a, b) => scores[a]! - scores[b]! || a - b).slice(0, count);
