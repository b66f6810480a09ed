import { OptionError } from '../../base/index.js';
import { admm } from './admm.js';
import type { Criterion } from './criterion.js';
import { createDsnot } from './dsnot.js';
import { dsnotSparsegpt } from './dsnot-sparsegpt.js';
import { magnitude } from './magnitude.js';
import { ria } from './ria.js';
import { sparsegpt } from './sparsegpt-criterion.js';
import { wanda } from './wanda.js';

/** Every criterion, by name. */
export const CRITERIA: ReadonlyMap<string, Criterion> = new Map(
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
  ].map((criterion: Criterion) => [criterion.name, criterion]),
);

/** @throws OptionError E_OPTION_CRITERION, with the names there are. */
export function findCriterion(name: string): Criterion {
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
