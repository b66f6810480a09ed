// Where a run hands its trials out to: a queue and a store. Neither is part of what determines the result.

import { OptionError, UnsupportedError } from '../base/index.js';
import type { Model } from '../model/index.js';
import { checkQueueUrl } from '../queue/index.js';
import { conflict, wholeNumber } from './checks.js';

export type QueueOptions = {
  /**
   * Hand trials out over this queue: `redis://…`, `rediss://…` or `postgres://…`. Defaults to the environment variable
   * LAYERWISE_QUEUE where `store` is given, else to none: everything is done in this process.
   */
  readonly queue?: string;
  /** What this process and the workers share: a directory, or `s3://bucket/prefix`. */
  readonly store?: string;
  /** Trials that are out at once; about as many as there are workers. Defaults to 4. */
  readonly workers?: number;
};

export type QueueSettings = { readonly url: string; readonly store: string; readonly workers: number };

/** @throws OptionError E_OPTION_QUEUE, E_OPTION_STORE, E_OPTION_WORKERS, E_OPTION_CONFLICT */
export function normaliseQueue(options: QueueOptions & { readonly device?: string }): QueueSettings | undefined {
  const { store, workers } = options;
  if (options.queue === undefined && store === undefined) {
    if (workers === undefined) return undefined;
    throw new OptionError('E_OPTION_WORKERS', '--workers only applies together with --queue and --store.', {
      option: 'workers',
    });
  }
  const both = requireQueue(options);
  if ((options.device ?? 'cpu') !== 'cpu') conflict('device', 'queue', 'workers compute on the processor');
  return { ...both, workers: wholeNumber('workers', workers ?? 4, 1, 1000) };
}

/** A queue and a store, both of which must be given. @throws OptionError E_OPTION_QUEUE, E_OPTION_STORE */
export function requireQueue({ queue, store }: QueueOptions): Pick<QueueSettings, 'url' | 'store'> {
  const url = queue ?? process.env.LAYERWISE_QUEUE;
  if (url === undefined) {
    throw new OptionError(
      'E_OPTION_QUEUE',
      '--queue: expected redis://… or postgres://…, got none. The environment variable LAYERWISE_QUEUE sets it without showing its password.',
      { option: 'queue' },
    );
  }
  checkQueueUrl(url);
  if (store !== undefined) return { url, store };
  throw new OptionError(
    'E_OPTION_STORE',
    '--store: expected a directory that all machines see, or s3://bucket/prefix; got none. The checkpoint, the texts and the outcomes pass through it.',
    { option: 'store' },
  );
}

/** Refuses a queue for models whose samples are not texts. @throws UnsupportedError E_UNSUPPORTED_QUEUE */
export function requireTextModel(model: Model): void {
  if (model.config.image || model.trunk) refuseQueue(model);
}

/** @throws UnsupportedError E_UNSUPPORTED_QUEUE */
export function refuseQueue({ config: { family } }: Model): never {
  throw new UnsupportedError(
    'E_UNSUPPORTED_QUEUE',
    `--queue: a ${family} model reads images, and workers take only texts so far. Leave --queue out: the run is then done in this process.`,
    { family },
  );
}
