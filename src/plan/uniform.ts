// Every block at the target: the baseline of every paper.

import { validateTarget } from './budget.js';
import type { AllocationPolicy } from './policy.js';

export const uniform: AllocationPolicy = {
  name: 'uniform',
  summary: 'every block at the target',
  range: () => undefined,
  allocate: (target, facts) => {
    validateTarget(target);
    return facts.blockWeights.map(() => target);
  },
};
