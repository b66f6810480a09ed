// The options of quantise alone; options.ts has all the others.

import { GRID_BITS, GRID_GROUPS, QUANTISERS } from '../operators/index.js';
import { DEFAULTS } from '../runs/index.js';

export const QUANTISE_OPTIONS = {
  bits: {
    kind: 'number',
    flag: '--bits',
    value: GRID_BITS.join('|'),
    text: 'bits of every weight of the blocks’ linears, besides the scales',
  },
  group: {
    kind: 'text',
    flag: '--group',
    value: `${GRID_GROUPS.join('|')}|row`,
    text: 'consecutive columns of a row that share a scale; 8 bits have a scale per row',
    otherwise: String(DEFAULTS.group),
  },
  quantiser: {
    kind: 'text',
    flag: '--method',
    value: [...QUANTISERS.keys()].join('|'),
    text: 'how weights are rounded; layerwise help quantisers explains them',
    otherwise: DEFAULTS.quantiser,
  },
  bitsPlan: {
    kind: 'text',
    flag: '--plan',
    value: 'plan.json',
    text: 'carry out a plan with bits (and, with gptq, zeros) per block or per linear instead of --bits',
  },
  zerosPattern: {
    kind: 'text',
    flag: '--pattern',
    value: 'pattern',
    text: 'where weights compete if the plan has zeros: columns, N:M or n:M; layerwise help patterns lists them',
    otherwise: 'columns',
  },
} as const;
