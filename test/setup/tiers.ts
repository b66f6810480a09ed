// What `npm run test:fast` leaves out, so that it ends within a minute on two cores: whatever runs jobs, pipelines, pools of
// threads, processes or browsers, and single files of more than about four seconds. `npm test` runs all.

export const SLOW: readonly string[] = [
  'test/cli/run.test.ts',
  'test/cli/speak.test.ts',
  'test/decoder/**',
  'test/engine/**',
  'test/examples.test.ts',
  'test/hub/model.test.ts',
  'test/hub/push.test.ts',
  'test/api/**',
  'test/kernels/**',
  'test/layouts/**',
  'test/solver-kernels/**',
  'test/threads/**',
  'test/linalg/**',
  'test/model/attention.test.ts',
  'test/packed/size.test.ts',
  'test/pipeline/**',
  'test/profile/dense.test.ts',
  'test/profile/gram.test.ts',
  'test/generation/likelihoods.test.ts',
  'test/generation/model.test.ts',
  'test/generation/page.test.ts',
  'test/server/**',
];
