import { OptionError } from '../../base/index.js';
import type { Operator } from '../operator.js';
import { gptq } from './gptq.js';
import { hqq } from './hqq.js';
import { rtn } from './rtn.js';

/** Every quantiser, by name. */
export const QUANTISERS: ReadonlyMap<string, Operator> = new Map(
  [gptq, rtn, hqq].map((operator: Operator) => [operator.name, operator]),
);

/** @throws OptionError E_OPTION_METHOD, with the known names. */
export function findQuantiser(name: string): Operator {
  const quantiser = QUANTISERS.get(name);
  if (quantiser) return quantiser;
  const known = [...QUANTISERS.keys()].join(', ');
  throw new OptionError('E_OPTION_METHOD', `--method: expected one of ${known}, got ${JSON.stringify(name)}.`, {
    option: 'method',
    got: name,
  });
}
