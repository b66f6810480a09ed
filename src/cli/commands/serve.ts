import { serve } from '../../api/index.js';
import { isLoopback } from '../../server/index.js';
import { defineCommand, RUNNABLE } from '../command.js';

export const serveCommand = defineCommand({
  name: 'serve',
  summary: 'Serve a packed model or a checkpoint over HTTP, as OpenAI’s API',
  argument: RUNNABLE,
  options: [
    'port',
    'host',
    'apiKey',
    'name',
    'sequences',
    'queue',
    'positions',
    'maxBody',
    'timeout',
    'grace',
    'seed',
    'valuesInMemory',
    'decoderDevice',
    'threads',
  ],
  stopsItself: true,
  details:
    '`/v1/completions`, `/v1/chat/completions`, `/v1/models`, `/health`, `/metrics`, and a page to try the model at `/`; docs/guide/serving.md describes them. SIGTERM and SIGINT stop it: new requests are refused, accepted ones have `--grace` seconds to finish. With `--json`, one document at the end.',
  examples: [
    { what: 'For this machine', command: 'layerwise serve my-model-75.lw' },
    {
      what: 'For others, with a key',
      command: 'LAYERWISE_API_KEY=… layerwise serve my-model-75.lw --host 0.0.0.0 --port 8000',
    },
  ],
  run: async (model, { valuesInMemory: values, decoderDevice: device, ...options }, onProgress, { stop }) => {
    const apiKey = options.apiKey ?? process.env.LAYERWISE_API_KEY;
    const host = options.host ?? '127.0.0.1';
    if (!isLoopback(host) && apiKey === undefined) {
      onProgress({ kind: 'note', text: `anyone who reaches ${host} may use the model; --api-key requires a key` });
    }
    const onListening = (url: string): void =>
      onProgress({ kind: 'note', text: `listening on ${url}; SIGINT or SIGTERM stops it` });
    const key = apiKey === undefined ? {} : { apiKey };
    const opening = { ...(values === undefined ? {} : { values }), ...(device === undefined ? {} : { device }) };
    const result = await serve({ model, ...options, ...key, ...opening, stop, onProgress, onListening });
    return { json: result, text: 'stopped' };
  },
});
