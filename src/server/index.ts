export { isLoopback } from './loopback.js';
export { type Counter, createRegistry, type Registry } from './metrics.js';
export { type RunningServer, startServer } from './serve.js';
export type { ServerSettings } from './settings.js';
