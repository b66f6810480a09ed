import { OptionError } from '../../base/index.js';
import type { Operator } from '../operator.js';
import { admm } from './admm.js';
import { createDsnot } from './dsnot.js';
import { dsnotSparsegpt } from './dsnot-sparsegpt.js';
import { magnitude } from './magnitude.js';
import { ria } from './ria.js';
import { sparsegpt } from './sparsegpt-criterion.js';
import { wanda } from './wanda.js';

/** Every criterion, by name. */
export const CRITERIA: ReadonlyMap<string, Operator> = new Map(
  [
    magnitude,
    wanda,
    ria,
    createDsnot('dsnot', wanda, 'Wanda’s'),
    createDsnot('dsnot-magnitude', magnitude, 'magnitude’s'),
    createDsnot('dsnot-ria', ria, 'RIA’s'),
    dsnotSparsegpt,
    sparsegpt,
    admm,
  ].map((operator: Operator) => [operator.name, operator]),
);

/** @throws OptionError E_OPTION_CRITERION, with the known names. */
export function findCriterion(name: string): Operator {
  const criterion = CRITERIA.get(name);
  if (!criterion) {
    const known = [...CRITERIA.keys()].join(', ');
    throw new OptionError('E_OPTION_CRITERION', `--criterion: expected one of ${known}, got ${JSON.stringify(name)}.`, {
      option: 'criterion',
      got: name,
    });
  }
  return criterion;
}
