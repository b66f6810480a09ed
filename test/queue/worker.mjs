// A worker whose letters are numbers: it pauses, and puts a number that depends on the letter alone into the store. The first
// attempt at a letter with `slow` pauses for so long. Each beginning and end is a line in a log.
//   node worker.mjs <url> <store> <log> <lease in ms>

import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { openStore, startQueueWorker } from '../../dist/queue/index.js';

const [url, place, log, lease] = process.argv.slice(2);
const note = (what, id, more = {}) =>
  appendFileSync(log, `${JSON.stringify({ what, id, pid: process.pid, ...more })}\n`);
const store = await openStore(place);
await startQueueWorker(
  url,
  async ({ index, pause, slow }, { id, attempt }) => {
    note('begin', id, { attempt });
    await sleep(slow !== undefined && attempt === 1 ? slow : pause);
    const value = createHash('sha256').update(`letter ${index}`).digest('hex');
    const put = await store.putOnce(`outcomes/${id}`, Buffer.from(value));
    note('end', id, { attempt, put });
    return { kind: 'done' };
  },
  { lease: Number(lease), onProgress: () => {} },
);
note('up', '');
