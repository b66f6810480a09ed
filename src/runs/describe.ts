// The name of a candidate in messages.

import { describeValues } from '../words/index.js';
import type { Candidate } from './candidate.js';

/** Its values, or its policy's name if it has none. */
export function describeCandidate({ plan, values, target }: Candidate): string {
  const name = describeValues(values) || (plan.from?.policy ?? 'the given plan');
  return target ? `${name}, stream α = ${target.alpha}, γ = ${target.gamma}` : name;
}
