// Starts and stops the server. On stop it takes no new connections, gives requests in progress time to finish, then cancels
// them, and closes the scheduler last. The model stays open; it belongs to the caller.

import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { OptionError } from '../base/index.js';
import type { OpenedDecoder } from '../generation/index.js';
import { createApp } from './app.js';
import { createContext } from './context.js';
import type { ServerSettings } from './settings.js';

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  /** Stops as described above; `grace` in seconds, by default that of the settings. Resolves when everything is closed. */
  stop(grace?: number): Promise<void>;
}

const HEADERS_TIMEOUT = 20_000;
const BODY_TIMEOUT = 60_000;
const MAX_CONNECTIONS = 1024;

/** @throws OptionError E_OPTION_PORT, E_OPTION_HOST where it cannot listen */
export async function startServer(model: OpenedDecoder, settings: ServerSettings): Promise<RunningServer> {
  const context = createContext(model, settings);
  const serverOptions = { headersTimeout: HEADERS_TIMEOUT, requestTimeout: BODY_TIMEOUT };
  const server = createAdaptorServer({ fetch: createApp(context).fetch, serverOptions }) as Server;
  server.maxConnections = MAX_CONNECTIONS;
  // A client that does not read its answer keeps the answer in memory no longer than it could have waited for it.
  server.timeout = 1000 * (settings.timeout + 60);
  await listen(server, settings);
  server.on('error', () => {}); // a connection that could not be accepted (too many open files) must not end the server
  const { port } = server.address() as AddressInfo;
  const host = settings.host.includes(':') ? `[${settings.host}]` : settings.host;
  let stopping: Promise<void> | undefined;

  const stop = async (grace: number): Promise<void> => {
    context.draining = true;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    const { calls, scheduler } = context;
    const limit = within(grace);
    await Promise.race([calls.idle(), limit.over]);
    calls.cancelAll();
    await scheduler.close();
    await calls.idle();
    // The last answers must still be sent. Idle keep-alive connections do not count.
    const flush = within(1);
    const sweep = setInterval(() => server.closeIdleConnections(), 10);
    await Promise.race([closed, flush.over]);
    clearInterval(sweep);
    server.closeAllConnections();
    await closed;
    for (const { cancel } of [limit, flush]) cancel();
  };
  return {
    url: `http://${host}:${port}`,
    port,
    stop: (grace = settings.grace) => {
      stopping ??= stop(grace);
      return stopping;
    },
  };
}

function within(seconds: number): { readonly over: Promise<void>; cancel(): void } {
  let timer: NodeJS.Timeout;
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, seconds * 1000);
  });
  return { over, cancel: () => clearTimeout(timer) };
}

function listen(server: Server, { host, port }: ServerSettings): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      const told = LISTEN_ERRORS[error.code ?? ''];
      if (!told) {
        reject(error);
        return;
      }
      const { option, why } = told;
      const got = { port, host }[option];
      const code = `E_OPTION_${option.toUpperCase()}`;
      reject(new OptionError(code, `--${option}: ${got}: ${why}`, { option, got }, { cause: error }));
    };
    server.once('error', onError);
    server.listen(port, host, () => {
      server.off('error', onError);
      resolve();
    });
  });
}

const LISTEN_ERRORS: Readonly<Record<string, { readonly option: 'port' | 'host'; readonly why: string }>> = {
  EADDRINUSE: { option: 'port', why: 'something listens there already; choose another, or 0 for any that is free.' },
  EACCES: { option: 'port', why: 'the system does not let you listen there; choose one from 1024 on.' },
  EADDRNOTAVAIL: { option: 'host', why: 'this machine does not have that address; choose one of its own.' },
  ENOTFOUND: { option: 'host', why: 'there is no such name; choose an address of this machine.' },
};
