// The options of experts alone; options.ts has all the others.

import { EXPERT_ALLOCATIONS, EXPERT_METHODS } from '../plan/index.js';
import { DEFAULTS } from '../runs/index.js';

export const EXPERTS_OPTIONS = {
  keep: {
    kind: 'number',
    flag: '--keep',
    value: 'share',
    text: 'share of the experts that stay, between 0 and 1, such as 0.75',
  },
  expertMethod: {
    kind: 'text',
    flag: '--method',
    value: [...EXPERT_METHODS.keys()].join('|'),
    text: 'which experts go, and what becomes of them; layerwise help mixtures explains them',
    otherwise: 'reap',
  },
  align: {
    kind: 'text',
    flag: '--align',
    value: 'neurons|none',
    text: 'of merge: bring the neurons of experts into one order before they are averaged, or average them as they lie',
    otherwise: 'neurons',
  },
  perLayer: {
    kind: 'text',
    flag: '--per-layer',
    value: 'equal|free',
    text: 'equal: all blocks keep the same number, and the checkpoint loads everywhere. free: --allocation divides them, and only Layerwise loads it (config.json gets layer_experts)',
    otherwise: 'equal',
  },
  expertAllocation: {
    kind: 'text',
    flag: '--allocation',
    value: EXPERT_ALLOCATIONS.join('|'),
    text: 'of --per-layer free: how experts are divided over blocks. atp: in a line with depth, by --beta; global: the smallest scores of the whole model go',
    otherwise: DEFAULTS.allocation,
  },
  expertBeta: {
    kind: 'number',
    flag: '--beta',
    value: 'β',
    text: 'of atp: the difference between neighbouring blocks in the share that goes of the experts that may go; below 0 it falls with depth',
    otherwise: 'searched on validation text',
  },
} as const;
