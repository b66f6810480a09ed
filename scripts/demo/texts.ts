// The demo's texts: the same generator, other seeds. Seed 1 is the training text's, so nothing here was trained on.

import { generateStories } from './stories.js';

export const TRAINING = { seed: 1, characters: 9_000_000 } as const;

export const TEXTS = {
  calibration: () => generateStories(2, 120_000),
  validation: () => generateStories(3, 110_000),
  test: () => generateStories(4, 160_000),
} as const;
