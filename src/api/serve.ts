// Serves a model over HTTP until it is stopped.

import { basename, resolve } from 'node:path';
import { OptionError } from '../base/index.js';
import { optionCode, realNumber, wholeNumber } from '../runs/index.js';
import { type ServerSettings, startServer } from '../server/index.js';
import { normaliseOpening, type OpeningOptions, openModelForText } from './open-packed.js';

export type ServeOptions = OpeningOptions & {
  /** Defaults to 8080; 0 takes any free port. */
  readonly port?: number;
  /** Address to listen on. Defaults to 127.0.0.1: only this machine. */
  readonly host?: string;
  /** The model's name for clients. Defaults to the last part of its path. */
  readonly name?: string;
  /** If given, clients must send it. */
  readonly apiKey?: string;
  /** Texts to generate at once. Defaults to 4. */
  readonly sequences?: number;
  /** The most waiting texts. Defaults to 64. */
  readonly queue?: number;
  /** The most megabytes of a request's body. Defaults to 4. */
  readonly maxBody?: number;
  /** Seconds an answer may take. Defaults to 600. */
  readonly timeout?: number;
  /** Seconds that running answers get when the server stops. Defaults to 10. */
  readonly grace?: number;
  /** Seed from which requests without a seed get theirs. Defaults to 0. */
  readonly seed?: number;
  /** Stops the server. */
  readonly stop: AbortSignal;
  /** Receives the address when the server listens. */
  readonly onListening?: (url: string) => void;
};

export type ServeResult = { readonly url: string; readonly seconds: number };

/** Serves until `stop`. @throws OptionError, CheckpointError, UnsupportedError, ResourceError, each with a stable `code` */
export async function serve(options: ServeOptions): Promise<ServeResult> {
  const opening = normaliseOpening(options);
  const settings = normaliseServing(options);
  const sequences = wholeNumber('sequences', options.sequences ?? 4, 1, 1024);
  const model = await openModelForText(options.model, opening, sequences);
  try {
    const server = await startServer(model, settings);
    const started = performance.now();
    options.onListening?.(server.url);
    await new Promise<void>((done) => {
      if (options.stop.aborted) done();
      options.stop.addEventListener('abort', () => done(), { once: true });
    });
    await server.stop();
    return { url: server.url, seconds: (performance.now() - started) / 1000 };
  } finally {
    await model.close();
  }
}

function normaliseServing(options: ServeOptions): ServerSettings {
  const { apiKey, name = basename(resolve(options.model)) } = options;
  for (const [option, value] of Object.entries({ 'api-key': apiKey, name })) {
    if (value === undefined || /^[\x21-\x7e]+$/.test(value)) continue; // what a header and a JSON path can carry
    throw new OptionError(optionCode(option), `--${option}: expected printable ASCII without spaces.`, { option });
  }
  return {
    ...{ name, apiKey },
    host: options.host ?? '127.0.0.1',
    port: wholeNumber('port', options.port ?? 8080, 0, 65535),
    queue: wholeNumber('queue', options.queue ?? 64, 0, 100_000),
    bodyBytes: Math.round(realNumber('max-body', options.maxBody ?? 4, 0.001, 1024) * 1e6),
    timeout: realNumber('timeout', options.timeout ?? 600, 0.1, 1e6),
    grace: realNumber('grace', options.grace ?? 10, 0, 1e6),
    seed: wholeNumber('seed', options.seed ?? 0, 0, 2 ** 32 - 1),
  };
}
