// A model's linears as the units that plans decide about.

import { type LinearUnit, TRUNK } from '../plan/index.js';
import type { Model } from './model.js';
import type { Linear } from './tensor-names.js';

export const unitOf = ({ name, block, kind, rows, columns }: Linear): LinearUnit => ({
  id: name,
  kind: 'linear',
  trunk: TRUNK,
  block,
  role: kind,
  weights: rows * columns,
  rows,
  columns,
});

/** The prunable linears of all blocks, in the model's order. */
export const linearUnits = (model: Model): readonly LinearUnit[] => model.linears.flat().map(unitOf);
