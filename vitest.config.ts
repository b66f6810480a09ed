import { configDefaults, defineConfig } from 'vitest/config';
import { limit } from './test/scale.js';
import { SLOW } from './test/setup/tiers.js';

// `vitest --mode fast` (npm run test:fast) leaves out what is slow, and draws fewer cases of each property.
export default defineConfig(({ mode }) => ({
  test: {
    globalSetup: 'test/setup/fresh.ts',
    include: ['test/**/*.test.ts', 'src/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(mode === 'fast' ? SLOW : [])],
    env: mode === 'fast' ? { LAYERWISE_TEST_SCALE: process.env.LAYERWISE_TEST_SCALE ?? '0.2' } : {},
    testTimeout: limit(60_000),
    hookTimeout: limit(120_000),
    // Most of a slow test is waiting for processes and disks: two workers take two thirds of the time of one on two cores.
    maxWorkers: 2,
  },
}));
