// A candidate as people read it.

import { describeValues } from '../words/index.js';
import type { Candidate } from './candidate.js';

/** Its values, else its policy's name. */
export const describeCandidate = ({ plan, values }: Candidate): string =>
  describeValues(values) || (plan.from?.policy ?? 'the given plan');
