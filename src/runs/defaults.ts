// The defaults of the options, in one place: settings, help texts and the command in a record read them from here.

/** Which texts judge the plans of a search. */
export const JUDGES = ['validation', 'both'] as const;
/**
 * `divergence`: KL to the dense model on validation text. Compress and the stream targets of quantise choose by it: near the
 * dense model it has a tenth of perplexity's noise. No option names it.
 */
export type Judge = (typeof JUDGES)[number] | 'divergence';

/** How norms of gradients are had: from forward passes alone, or by a pass forward and back. */
export const GRADIENTS = ['estimated', 'exact'] as const;
export type GradientKind = (typeof GRADIENTS)[number];

/** What a linear's Gram matrix measures: its output, every token alike, or the loss. */
export const HESSIANS = ['output', 'loss'] as const;
export type HessianKind = (typeof HESSIANS)[number];

/** The blocks before the one whose calibration statistics are taken. */
export const PREFIXES = ['pruned', 'dense'] as const;
export type PrefixKind = (typeof PREFIXES)[number];

export const DEFAULTS = {
  allocation: 'atp',
  criterion: 'wanda',
  quantiser: 'gptq',
  group: 128,
  budget: 'exact',
  target: 'own',
  gradient: 'estimated',
  hessian: 'output',
  calibrationPrefix: 'pruned',
  calibrationSamples: 128,
  /** Of a model that reads images. */
  calibrationImages: 512,
  calibrationOrder: 'random',
  seed: 0,
  maxTrials: 6,
  judge: 'validation',
  greedyTokens: 64,
  device: 'cpu',
  fewshot: 0,
} as const;
