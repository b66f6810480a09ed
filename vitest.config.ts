import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    globalSetup: 'test/setup/fresh.ts',
    include: ['test/**/*.test.ts', 'src/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
