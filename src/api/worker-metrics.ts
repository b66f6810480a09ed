// What a worker tells Prometheus: letters by how they ended, their seconds, and what waits in the queue.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { OptionError, ResourceError } from '../base/index.js';
import type { QueueCounts } from '../queue/index.js';
import { createRegistry } from '../server/index.js';

export type WorkerMetrics = {
  readonly port: number;
  /** Counts a letter. */
  letter(outcome: string, seconds: number): void;
  close(): Promise<void>;
};

/** Serves `/metrics` at `port` of this machine, or at `address:port`. @throws OptionError E_OPTION_METRICS; ResourceError E_RESOURCE_PORT */
export async function startWorkerMetrics(at: string, counts: QueueCounts): Promise<WorkerMetrics> {
  const [, address, digits] = /^(?:(.*):)?(\d{1,5})$/.exec(at) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65_535) {
    throw new OptionError('E_OPTION_METRICS', `--metrics: expected a port or address:port, such as 9464, got ${at}.`, {
      option: 'metrics',
      got: at,
    });
  }
  const registry = createRegistry();
  const letters = registry.counter('layerwise_letters_total', 'Letters taken by this worker, by how they ended.');
  const seconds = registry.histogram('layerwise_letter_seconds', 'From taking a letter to its record.');
  registry.gauge('layerwise_queue_waiting', 'Letters of all runs that wait.', () => counts.waiting);
  registry.gauge('layerwise_queue_working', 'Letters of all runs at work.', () => counts.working);
  registry.gauge('process_resident_memory_bytes', 'Resident memory of the process.', () => process.memoryUsage.rss());
  const server = createServer((request, response) => {
    const found = request.url === '/metrics';
    response.writeHead(found ? 200 : 404, { 'content-type': 'text/plain; version=0.0.4' });
    response.end(found ? registry.render() : 'only /metrics\n');
  });
  await new Promise<void>((listening, refused) => {
    server.once('error', refused);
    server.listen(port, address ?? '127.0.0.1', listening);
  }).catch((error: NodeJS.ErrnoException) => {
    throw new ResourceError(
      'E_RESOURCE_PORT',
      `--metrics: ${at} cannot be used (${error.code}); choose another port.`,
      {
        option: 'metrics',
        got: at,
      },
    );
  });
  return {
    port: (server.address() as AddressInfo).port,
    letter: (outcome, time) => {
      letters.add(1, { outcome });
      seconds.observe(time);
    },
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
