// Quantisers that round every weight by itself and need no calibration text.

import { InternalError } from '../../base/index.js';
import type { Treatment } from '../../records/index.js';
import type { Operator } from '../operator.js';
import { roundMatrix, type ScaleSearch, weightsOf } from './grid.js';

/** The bits of a treatment. */
export function bitsOf({ bits }: Treatment): NonNullable<Treatment['bits']> {
  if (!bits) throw new InternalError('E_INTERNAL_TREATMENT', 'A quantiser got a treatment without bits.');
  return bits;
}

/** The operator that rounds with the scales of a search. */
export const roundingOperator = (name: string, summary: string, search: ScaleSearch): Operator => ({
  name,
  summary,
  makes: ['bits'],
  needs: [],
  patterns: [],
  prepare: async () => ({
    apply: async (_unit, W, treatment) => {
      if (treatment.zeros) throw new InternalError('E_INTERNAL_TREATMENT', `${name} got a treatment with zeros.`);
      const { bits, group } = bitsOf(treatment);
      const grid = roundMatrix(W, bits, group, search);
      return { zeroed: new Uint8Array(W.data.length), weights: weightsOf(grid, W.rows, W.columns), grid };
    },
  }),
});
