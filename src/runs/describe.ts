// Hyperparameters and candidates as people read them.

import type { Values } from '../plan/index.js';
import type { Candidate } from './candidate.js';

const SYMBOLS: Readonly<Record<string, string>> = { beta: 'β', lambda: 'λ' };

export const symbolOf = (name: string): string => SYMBOLS[name] ?? name;

/** `β = 0.006061`. */
const describeValues = (values: Values): string =>
  Object.entries(values)
    .map(([name, value]) => `${symbolOf(name)} = ${Number(value.toPrecision(4))}`)
    .join(', ');

/** A candidate's values, else its policy's name. */
export const describeCandidate = ({ plan, values }: Candidate): string =>
  describeValues(values) || (plan.from?.policy ?? 'the given plan');
