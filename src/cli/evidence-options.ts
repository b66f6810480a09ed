// The options of what treated linears aim at and of what is taken from gradients of the loss; options.ts has all the others.

import { DEFAULTS, GRADIENTS, HESSIANS, PREFIXES } from '../runs/index.js';

export const EVIDENCE_OPTIONS = {
  target: {
    kind: 'text',
    flag: '--target',
    value: 'target',
    text: 'own: each linear keeps its own output; stream: it follows the dense model and takes back what earlier blocks lost',
    otherwise: DEFAULTS.target,
  },
  targetShares: {
    kind: 'text',
    flag: '--target-shares',
    value: 'alpha=n,gamma=n',
    text: 'how far --target stream follows: of a linear’s own input error and of the residual’s, 0 to 1',
    otherwise: 'searched on validation text; 0.5 each without one',
  },
  calibrationPrefix: {
    kind: 'text',
    flag: '--calibration-prefix',
    value: PREFIXES.join('|'),
    text: 'the blocks before the one whose calibration statistics are taken; dense is what published numbers of image classifiers have',
    otherwise: DEFAULTS.calibrationPrefix,
  },
  hessian: {
    kind: 'text',
    flag: '--hessian',
    value: HESSIANS.join('|'),
    text: 'what the Gram matrix of a linear’s input measures, for criteria that have one. output: every token counts alike. loss: a token counts by the square of the loss’s gradient at the linear’s output, from one more pass forward and back',
    otherwise: DEFAULTS.hessian,
  },
  gradient: {
    kind: 'text',
    flag: '--gradient',
    value: GRADIENTS.join('|'),
    text: 'how the norms of gradients that ecoflap allocates by are had. estimated: from forward passes alone, as published. exact: by one pass forward and back',
    otherwise: DEFAULTS.gradient,
  },
} as const;
