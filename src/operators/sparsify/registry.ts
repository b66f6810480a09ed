import { OptionError } from '../../base/index.js';
import type { Operator } from '../operator.js';
import { admm } from './admm.js';
import type { MaskOperator } from './criterion.js';
import { createDsnot } from './dsnot.js';
import { dsnotSparsegpt } from './dsnot-sparsegpt.js';
import { magnitude } from './magnitude.js';
import { REFIT, refitted } from './refit.js';
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

/** `name`, or the name of a mask criterion and `+refit`. @throws OptionError E_OPTION_CRITERION, with the known names. */
export function findCriterion(name: string): Operator {
  if (name.endsWith(REFIT)) return refitCriterion(findCriterion(name.slice(0, -REFIT.length)));
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

const isMask = (criterion: Operator): criterion is MaskOperator => 'mask' in criterion;

/** A mask criterion followed by least squares. @throws OptionError E_OPTION_REFIT for a criterion that repairs weights */
export function refitCriterion(criterion: Operator): Operator {
  if (isMask(criterion)) return refitted(criterion);
  throw new OptionError(
    'E_OPTION_REFIT',
    `--refit: expected a criterion that only chooses a mask, such as wanda; ${criterion.name} works with a Gram matrix itself. Leave --refit out.`,
    { option: 'refit', got: criterion.name },
  );
}
