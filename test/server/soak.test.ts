// The soak's load, in small, on a server without a model: that all is well is seen, and that something is not.

import { expect, test } from 'vitest';
import { runLoad } from '../../scripts/soak/load.js';
import { makeServer } from './make.js';

const load = { clients: 6, seed: 5, maxPositions: 256, chat: true } as const;

test('a server that does what it should has no problems but those of a short time', async () => {
  const { server } = await makeServer({ queue: 4 });
  const report = await runLoad({ ...load, url: server.url, seconds: 6 });
  await server.stop();
  // Six seconds in the process of the test say nothing about memory.
  expect(report.problems.filter((problem) => !problem.startsWith('resident memory'))).toEqual([]);
  for (const outcome of ['answered', 'refused', 'cancelled', 'read'] as const) {
    expect(report.outcomes[outcome], outcome).toBeGreaterThan(0);
  }
  expect(report.memory.before).toBeGreaterThan(1e6);
});

test('answers that fail are problems', async () => {
  const { server, decoder } = await makeServer();
  const failing = setInterval(() => decoder.failNext(new Error('lost')), 50);
  const report = await runLoad({ ...load, url: server.url, seconds: 2 });
  clearInterval(failing);
  await server.stop();
  expect(report.problems.join('\n')).toMatch(/status 500/);
  expect(report.problems.join('\n')).toMatch(/ended as failed/);
});
