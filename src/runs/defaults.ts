// The defaults of the options, in one place: settings, help texts and the command in a record read them from here.

export const DEFAULTS = {
  allocation: 'atp',
  criterion: 'wanda',
  budget: 'exact',
  target: 'own',
  calibrationSamples: 128,
  calibrationOrder: 'random',
  seed: 0,
  maxTrials: 6,
  device: 'cpu',
  fewshot: 0,
} as const;
