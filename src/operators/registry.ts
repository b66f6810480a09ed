// All operators by name, as the letters of trials name them.

import { InternalError } from '../base/index.js';
import type { Operator } from './operator.js';
import { QUANTISERS } from './quantise/registry.js';
import { CRITERIA } from './sparsify/registry.js';

/** The operator that a request names. */
export function findOperator(name: string): Operator {
  const operator = CRITERIA.get(name) ?? QUANTISERS.get(name);
  if (!operator) throw new InternalError('E_INTERNAL_OPERATOR', `There is no operator ${JSON.stringify(name)}.`);
  return operator;
}
