// Names of hyperparameters as people read them.

import { formatNumber } from './numbers.js';

const SYMBOLS: Readonly<Record<string, string>> = { beta: 'β', lambda: 'λ' };

/** `β` for `beta`; the name itself where the papers write no letter. */
export const symbolOf = (name: string): string => SYMBOLS[name] ?? name;

/** `β = 0.006061`; several are separated by commas, and none give an empty text. */
export const describeValues = (values: Readonly<Record<string, number>>): string =>
  Object.entries(values)
    .map(([name, value]) => `${symbolOf(name)} = ${formatNumber(value)}`)
    .join(', ');
