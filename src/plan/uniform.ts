// Every block gets the target: the baseline of every paper.

import type { AllocationPolicy } from './policy.js';

export const uniform: AllocationPolicy = {
  name: 'uniform',
  summary: 'every block at the target',
  granularity: 'block',
  needs: [],
  hyperparameters: [],
  allocate: ({ target, facts }) => new Array<number>(facts.blocks).fill(target),
};
