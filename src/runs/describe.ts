// The name of a candidate in messages.

import { describeValues } from '../words/index.js';
import type { Candidate } from './candidate.js';

/** Its values, or its policy's name if it has none. */
export const describeCandidate = ({ plan, values }: Candidate): string =>
  describeValues(values) || (plan.from?.policy ?? 'the given plan');
