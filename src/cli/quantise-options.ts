// The options of quantise alone; options.ts has all the others.

import { ACTIVATION_DEFAULTS, CLIP_RANGES, DEPENDENCIES } from '../api/index.js';
import { CLIP_BITS, GRID_BITS, GRID_GROUPS, QUANTISERS } from '../operators/index.js';
import { BITS_ALLOCATIONS, DEFAULTS } from '../runs/index.js';

/** The method that quantises activations too. */
export const QVLM = 'qvlm';

export const QUANTISE_OPTIONS = {
  bits: {
    kind: 'number',
    flag: '--bits',
    value: GRID_BITS.join('|'),
    text: 'bits of every weight of the blocks’ linears, besides the scales; with qvlm also 6',
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
    value: [...QUANTISERS.keys(), QVLM].join('|'),
    text: 'how weights are rounded; layerwise help quantisers explains them. qvlm: activations are quantised too, and clips of their ranges searched (docs/lab/qvlm.md)',
    otherwise: DEFAULTS.quantiser,
  },
  bitsAllocation: {
    kind: 'text',
    flag: '--allocation',
    value: BITS_ALLOCATIONS.join('|'),
    text: 'progression: --bits is a mean from 2 to 8, and the bits of blocks fall with depth by a common difference β, as sparsity rises in ATP',
    otherwise: 'uniform',
  },
  bitsBeta: {
    kind: 'number',
    flag: '--beta',
    value: 'β',
    text: 'with --allocation progression: bits between neighbouring blocks',
    otherwise: 'searched on validation text',
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
  activationBits: {
    kind: 'number',
    flag: '--activation-bits',
    value: CLIP_BITS.join('|'),
    text: 'with qvlm: bits of what the linears read',
    otherwise: '--bits',
  },
  activationRange: {
    kind: 'text',
    flag: '--activation-range',
    value: CLIP_RANGES.join('|'),
    text: 'with qvlm: the range that a clip shrinks, each token’s own or that of the calibration text',
    otherwise: ACTIVATION_DEFAULTS.range,
  },
  dependency: {
    kind: 'text',
    flag: '--dependency',
    value: DEPENDENCIES.join('|'),
    text: 'with qvlm: which layers are searched together, at most three. entropy: of the residual (the paper); measured: gain of pairs; fixed: three at a time',
    otherwise: ACTIVATION_DEFAULTS.dependency,
  },
  threshold: {
    kind: 'number',
    flag: '--threshold',
    value: 'h₀',
    text: 'with --dependency entropy or measured: layers are searched together where their dependencies are on average above it',
    otherwise: 'the mean of all',
  },
} as const;
