// Requests to the Hub. All of them go through `send`, including those of @huggingface/hub, which accepts a fetch function.
// The token goes only to the endpoint’s own origin, whatever redirects say; redirects are few and never from https to http;
// silence ends a connection; answers that are read whole are limited; failures are typed errors. The package never sees the
// token: it gets a placeholder that is replaced here.

import { setTimeout as sleep } from 'node:timers/promises';
import { answerError, cutError, isTransient, statusError, unreachable } from './errors.js';
import type { HubSettings } from './settings.js';

const MAX_REDIRECTS = 5;
const ATTEMPTS = 4;
/** Milliseconds before the second attempt, doubled before each further one. */
const PAUSE = 400;
/** Most bytes of an answer that is read whole; a page of 1,000 files takes 0.5 MB. */
const MAX_ANSWER = 16 << 20;
const MAX_COMPLAINT = 64 << 10;

/** The placeholder token for @huggingface/hub, which checks the form of tokens. */
export const STAND_IN = 'hf_standin';
export const credentials = ({ token }: HubSettings): { accessToken: string } | Record<never, never> =>
  token === undefined ? {} : { accessToken: STAND_IN };

export type Answer = {
  readonly response: Response;
  /** The body, piece by piece. @throws RemoteError E_REMOTE_CUT */
  chunks(): AsyncGenerator<Uint8Array>;
};

export type SendOptions = RequestInit & {
  /**
   * How many attempts to make before a transient failure counts. Defaults to 4 for requests that are safe to repeat, else
   * to 1.
   */
  readonly attempts?: number;
};

/** Makes a request and returns an answer with a 2xx status. `subject` names it in errors. @throws RemoteError E_REMOTE_… */
export async function send(
  settings: HubSettings,
  subject: string,
  url: string,
  options: SendOptions = {},
): Promise<Answer> {
  const { attempts = /^(GET|HEAD|PUT)$/.test(options.method ?? 'GET') ? ATTEMPTS : 1, ...init } = options;
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await follow(settings, subject, url, init);
      if (answer.response.ok) return answer;
      const said = new TextDecoder().decode(await readWhole(answer, subject, MAX_COMPLAINT).catch(() => undefined));
      throw statusError(settings, subject, answer.response, complaintIn(said));
    } catch (error) {
      if (attempt >= attempts || !isTransient(error)) throw error;
      await pause(attempt);
    }
  }
}

export const pause = (attempt: number): Promise<void> => sleep(PAUSE * 2 ** (attempt - 1));

/** `fetch` for @huggingface/hub. `onSent` receives how many bytes of a file have been uploaded. */
export const hubFetch = (
  settings: HubSettings,
  subject: string,
  onSent: (bytes: number) => void = () => {},
): typeof fetch =>
  (async (input, init) => {
    const answer = await send(settings, subject, input instanceof Request ? input.url : String(input), init ?? {});
    const body = await readWhole(answer, subject, MAX_ANSWER);
    if (init?.method === 'PUT' && init.body instanceof Blob) onSent(init.body.size);
    const { status, headers } = answer.response;
    return new Response(body.length > 0 ? body : null, { status, headers });
  }) satisfies typeof fetch;

async function follow(settings: HubSettings, subject: string, start: string, init: RequestInit): Promise<Answer> {
  let url = new URL(start);
  const reads = (init.method ?? 'GET') === 'GET';
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const answer = await ask(settings, subject, url, init, reads);
    const { status, headers, body } = answer.response;
    if (status < 300 || status >= 400 || status === 304) return answer;
    await body?.cancel().catch(() => {});
    const target = headers.get('location') ?? '';
    const next = reads && URL.canParse(target, url.href) ? new URL(target, url) : undefined;
    if (!next || !/^https?:$/.test(next.protocol) || (url.protocol === 'https:' && next.protocol === 'http:')) {
      throw answerError(subject, `${url.origin} redirects to an address that is not allowed`);
    }
    url = next;
  }
  throw answerError(subject, `${url.origin} redirects more than ${MAX_REDIRECTS} times`);
}

async function ask(
  settings: HubSettings,
  subject: string,
  url: URL,
  init: RequestInit,
  watched: boolean,
): Promise<Answer> {
  const abort = new AbortController();
  let silent = false;
  let timer: NodeJS.Timeout | undefined;
  const watch = (on: boolean): void => {
    clearTimeout(timer);
    // A long upload receives nothing, so only the client’s own limit of five minutes applies.
    if (!on || !watched) return;
    timer = setTimeout(() => {
      silent = true;
      abort.abort();
    }, settings.timeout);
  };
  const signal = init.signal ? AbortSignal.any([init.signal, abort.signal]) : abort.signal;
  let response: Response;
  watch(true);
  try {
    response = await fetch(url, {
      ...init,
      headers: headersFor(settings, url, init.headers),
      redirect: 'manual',
      signal,
    });
  } catch (cause) {
    throw unreachable(subject, url, cause, silent ? settings.timeout : undefined);
  } finally {
    watch(false);
  }
  return {
    response,
    chunks: async function* () {
      if (!response.body) return;
      const reader = response.body.getReader();
      try {
        for (;;) {
          watch(true);
          const { done, value } = await reader.read().catch((cause) => {
            throw cutError(
              subject,
              silent ? `nothing for ${settings.timeout / 1000} s` : (cause as Error).message,
              cause,
            );
          });
          watch(false);
          if (done) return;
          yield value;
        }
      } finally {
        watch(false);
        await reader.cancel().catch(() => {});
      }
    },
  };
}

function headersFor({ endpoint, token }: HubSettings, url: URL, given: RequestInit['headers']): Headers {
  const headers = new Headers(given);
  headers.set('user-agent', 'layerwise');
  headers.set('accept-encoding', 'identity'); // so that sizes and ranges are those of the file
  if (headers.get('authorization')?.includes(STAND_IN)) headers.delete('authorization');
  if (token !== undefined && url.origin === new URL(endpoint).origin) headers.set('authorization', `Bearer ${token}`);
  return headers;
}

async function readWhole(answer: Answer, subject: string, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of answer.chunks()) {
    size += chunk.length;
    if (size > limit) throw answerError(subject, `the answer is longer than ${limit} bytes`);
    parts.push(chunk);
  }
  return new Uint8Array(Buffer.concat(parts));
}

/** The message in an error’s body, if it is JSON. */
function complaintIn(body: string): string {
  try {
    const { error, message } = JSON.parse(body) as { error?: unknown; message?: unknown };
    return [error, message].find((one) => typeof one === 'string') ?? '';
  } catch {
    return '';
  }
}
