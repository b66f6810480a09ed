import { work } from '../../api/index.js';
import { defineCommand } from '../command.js';
import { formatSeconds } from '../format.js';
import { parseQueue } from '../option-values.js';

export const workerCommand = defineCommand({
  name: 'worker',
  summary: 'Do work of runs that other machines hand out over a queue',
  options: ['letterQueue', 'store', 'stay', 'idle', 'lease', 'workerName', 'scratch', 'metrics', 'threads'],
  required: ['store'],
  stopsItself: true,
  details:
    'One process that takes letters from the queue, does the trials or the statistics that they name, and puts the outcomes into the store. It ends when there has been nothing to do for --idle seconds; with --keep it stays. A letter is data: it names a run in the store and a trial of it, or a part of its calibration text, never a path, an address or code. A worker whose processor or packages would give other last bits than a run’s is refused by name (E_NUMERIC_WORKER). SIGTERM gives the letter at work back to the queue; a worker that is killed loses it after --lease seconds. Needs the packages bullmq and ioredis or pg, and @aws-sdk/client-s3 for a bucket (docs/guide/workers.md).',
  examples: [
    {
      what: 'Work until nothing is left',
      command: 'layerwise worker --queue redis://queue:6379/0 --store /shared/layerwise',
    },
    {
      what: 'A service, with metrics; the URL with its password is in the environment',
      command: 'LAYERWISE_QUEUE=rediss://… layerwise worker --store s3://bucket/layerwise --keep --metrics 9464',
    },
  ],
  run: async (_, { letterQueue, workerName, store, stay = false, ...options }, onProgress, { stop }) => {
    const name = workerName === undefined ? {} : { name: workerName };
    const given = { ...options, ...parseQueue(letterQueue), ...name };
    const result = await work({ ...given, keep: stay, store: store!, stop, onProgress });
    const { worker, done, known, failed, seconds } = result;
    const on = known > 0 ? `, ${known} of them on record already` : '';
    return {
      json: result,
      text: `${worker}: ${done} letters done${on}, ${failed} failed, ${formatSeconds(seconds)}`,
    };
  },
});
