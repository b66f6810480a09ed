// The options of drop and grow that no other command has; options.ts has all the others.

import { GROW_METHODS } from '../plan/index.js';

export const GROW_OPTIONS = {
  repair: {
    kind: 'text',
    flag: '--repair',
    value: 'linear|stream',
    text: 'fit the last linear before each gap to what the removed blocks did, in closed form, on --calibration; with stream the blocks behind follow the dense stream too',
    otherwise: 'no repair',
  },
  merge: {
    kind: 'flag',
    flag: '--merge',
    text: 'make one block of a removed block and the one before it, with the best heads and channels of both',
  },
  dropShares: {
    kind: 'text',
    flag: '--target-shares',
    value: 'alpha=n,gamma=n',
    text: 'how far --repair stream follows the dense stream: of a linear’s own input error and of the residual’s, 0 to 1',
    otherwise: '1 each',
  },
  growMethod: {
    kind: 'text',
    flag: '--method',
    value: [...GROW_METHODS.keys()].join('|'),
    text: 'what new blocks are made of; layerwise help growth explains them',
  },
  newBlocks: { kind: 'number', flag: '--blocks', value: 'n', text: 'number of blocks to add' },
  where: {
    kind: 'text',
    flag: '--where',
    value: 'a..b|list',
    text: 'blocks after each of which a new one comes, as 15..30 or 3,5,8; with solar the run that is repeated',
    otherwise: 'lesa, average: the deepest gaps; copy, llama-pro: spread evenly; solar: the middle',
  },
} as const;
