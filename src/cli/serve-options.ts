// The options of serve alone; options.ts has all the others.

export const SERVE_OPTIONS = {
  port: { kind: 'number', flag: '--port', value: 'n', text: 'port to listen on; 0 is any free one', otherwise: '8080' },
  host: {
    kind: 'text',
    flag: '--host',
    value: 'address',
    text: 'address to listen on; 0.0.0.0 means all addresses of this machine',
    otherwise: '127.0.0.1: only this machine',
  },
  name: {
    kind: 'text',
    flag: '--name',
    value: 'name',
    text: 'the model’s name for clients',
    otherwise: 'the last part of its path',
  },
  apiKey: {
    kind: 'text',
    flag: '--api-key',
    value: 'key',
    text: 'key that clients must send; the environment variable LAYERWISE_API_KEY sets it without showing it',
    otherwise: 'no key is needed',
  },
  sequences: {
    kind: 'number',
    flag: '--sequences',
    value: 'n',
    text: 'texts written at once; each has its own memory',
    otherwise: '4',
  },
  queue: {
    kind: 'number',
    flag: '--queue',
    value: 'n',
    text: 'texts that may wait; more are refused with 429',
    otherwise: '64',
  },
  maxBody: {
    kind: 'number',
    flag: '--max-body',
    value: 'MB',
    text: 'largest size of a request’s body',
    otherwise: '4',
  },
  timeout: {
    kind: 'number',
    flag: '--timeout',
    value: 'seconds',
    text: 'longest time for an answer, including waiting',
    otherwise: '600',
  },
  grace: {
    kind: 'number',
    flag: '--grace',
    value: 'seconds',
    text: 'time that answers have to finish when the server stops',
    otherwise: '10',
  },
} as const;
