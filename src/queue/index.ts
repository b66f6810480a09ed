export { checkQueueUrl, LEASE, openQueue, startQueueWorker } from './bull.js';
export { openStore } from './open-store.js';
export type { Store } from './store.js';
export type { Handle, Handled, Lease, LetterState, QueueCounts, QueueWorker, WorkQueue } from './work-queue.js';
