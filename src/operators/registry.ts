// All operators by name, as the letters of trials name them.

import { InternalError } from '../base/index.js';
import type { Operator } from './operator.js';
import { QUANTISERS } from './quantise/registry.js';
import { REFIT } from './sparsify/refit.js';
import { CRITERIA, findCriterion } from './sparsify/registry.js';

/** The operator that a request names. */
export function findOperator(name: string): Operator {
  const operator = CRITERIA.get(name) ?? QUANTISERS.get(name);
  if (operator) return operator;
  if (CRITERIA.has(name.replace(REFIT, ''))) return findCriterion(name);
  throw new InternalError('E_INTERNAL_OPERATOR', `There is no operator ${JSON.stringify(name)}.`);
}
