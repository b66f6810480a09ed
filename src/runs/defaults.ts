// What an option is where it is left out, said once: settings, help texts and the command in a record read it from here.

export const DEFAULTS = {
  allocation: 'atp',
  criterion: 'wanda',
  budget: 'exact',
  calibrationSamples: 128,
  calibrationOrder: 'random',
  seed: 0,
  maxTrials: 6,
  device: 'cpu',
  fewshot: 0,
} as const;
