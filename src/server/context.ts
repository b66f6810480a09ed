// What the routes share: the model, its scheduler, the calls in progress, and the metrics.

import { createRng } from '../base/index.js';
import { createScheduler, type OpenedDecoder, type Scheduler } from '../generation/index.js';
import { type Calls, createCalls } from './calls.js';
import { createMetrics, type Metrics } from './metrics.js';
import type { ServerSettings } from './settings.js';

export type ServerContext = {
  readonly model: OpenedDecoder;
  readonly settings: ServerSettings;
  readonly scheduler: Scheduler;
  readonly calls: Calls;
  readonly metrics: Metrics;
  /** When the model was opened, in seconds since 1970. */
  readonly created: number;
  /** Seeds for requests without one. */
  nextSeed(): number;
  /** Whether the server accepts no more requests. */
  draining: boolean;
};

export function createContext(model: OpenedDecoder, settings: ServerSettings): ServerContext {
  const scheduler = createScheduler(model, { queue: settings.queue });
  const metrics = createMetrics(() => scheduler.state);
  const calls = createCalls(settings.timeout, (outcome, seconds) => {
    metrics.calls.add(1, { outcome });
    metrics.seconds.observe(seconds);
  });
  const rng = createRng(settings.seed);
  return {
    ...{ model, settings, scheduler, calls, metrics },
    created: Math.floor(Date.now() / 1000),
    nextSeed: () => rng.uint32(),
    draining: false,
  };
}
