// The defaults of the options, in one place: settings, help texts and the command in a record read them from here.

/** Which texts judge the plans of a search. */
export const JUDGES = ['validation', 'both'] as const;
export type Judge = (typeof JUDGES)[number];

export const DEFAULTS = {
  allocation: 'atp',
  criterion: 'wanda',
  quantiser: 'gptq',
  group: 128,
  budget: 'exact',
  target: 'own',
  calibrationSamples: 128,
  calibrationOrder: 'random',
  seed: 0,
  maxTrials: 6,
  judge: 'validation',
  greedyTokens: 64,
  device: 'cpu',
  fewshot: 0,
} as const;
