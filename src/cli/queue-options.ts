// Options of runs that hand work out, and of those that take it; options.ts has all the others.

export const QUEUE_OPTIONS = {
  workQueue: {
    kind: 'text',
    flag: '--queue',
    value: 'url',
    text: 'hand trials, or the calibration text of a run of one plan, out to layerwise worker over redis://, rediss:// or postgres://; the environment variable LAYERWISE_QUEUE sets it without showing its password (docs/guide/workers.md)',
    otherwise: 'everything is done by this process',
  },
  letterQueue: {
    kind: 'text',
    flag: '--queue',
    value: 'url',
    text: 'take letters over redis://, rediss:// or postgres:// (docs/guide/workers.md)',
    otherwise:
      'the environment variable LAYERWISE_QUEUE, which sets it without showing its password; one of the two is needed',
  },
  store: {
    kind: 'text',
    flag: '--store',
    value: 'dir|s3://…',
    text: 'what all machines share: a directory that all of them mount, or a bucket',
  },
  workers: {
    kind: 'number',
    flag: '--workers',
    value: 'n',
    text: 'trials that are out at once; about as many as there are workers (a calibration text is out as a whole)',
    otherwise: '4',
  },
  stay: { kind: 'flag', flag: '--keep', text: 'stay when there are no more letters' },
  idle: {
    kind: 'number',
    flag: '--idle',
    value: 'seconds',
    text: 'without --keep, how long to wait for another letter',
    otherwise: '60',
  },
  lease: {
    kind: 'number',
    flag: '--lease',
    value: 'seconds',
    text: 'silence after which a worker’s letter goes to another',
    otherwise: '60',
  },
  workerName: {
    kind: 'text',
    flag: '--name',
    value: 'name',
    text: 'the worker’s name in records and metrics',
    otherwise: 'a random one',
  },
  scratch: {
    kind: 'text',
    flag: '--scratch',
    value: 'dir',
    text: 'folder for checkpoints and blocks while a run is open',
    otherwise: 'one in the cache',
  },
  metrics: {
    kind: 'text',
    flag: '--metrics',
    value: '[address:]port',
    text: 'serve /metrics for Prometheus',
    otherwise: 'none; the address is 127.0.0.1',
  },
} as const;
