// Problems with a server, as RemoteErrors. `facts.transient` says whether the same request may succeed later. Text from a
// server is quoted, but shortened and without control characters, because it is shown on a terminal.

import { RemoteError } from '../base/index.js';
import type { HubSettings } from './settings.js';

export const isTransient = (error: unknown): boolean => error instanceof RemoteError && error.facts.transient === true;

export const hasStatus = (error: unknown, status: number): boolean =>
  error instanceof RemoteError && error.facts.status === status;

/** The server’s answer breaks the protocol. */
export const answerError = (subject: string, what: string, cause?: unknown): RemoteError =>
  new RemoteError(
    'E_REMOTE_ANSWER',
    `${subject}: ${what}. Try again; if the error persists, the problem is in the server.`,
    { subject },
    { cause },
  );

/** No connection, or silence for too long. */
export function unreachable(subject: string, url: URL, cause: unknown, silent: number | undefined): RemoteError {
  const reason = silent === undefined ? codeOf(cause) : `nothing for ${silent / 1000} s`;
  return new RemoteError(
    'E_REMOTE_UNREACHABLE',
    `${subject}: ${url.origin} cannot be reached (${reason}). Check the network; HF_ENDPOINT names another server, HF_HUB_OFFLINE=1 uses what is on this machine.`,
    { subject, origin: url.origin, reason, transient: !/^(ENOTFOUND|ECONNREFUSED)$/.test(reason) },
    { cause },
  );
}

/** A connection that ended before the answer was complete. */
export const cutError = (subject: string, got: string, cause?: unknown): RemoteError =>
  new RemoteError(
    'E_REMOTE_CUT',
    `${subject}: the connection was lost (${got}). Run the same command again; it continues from what has arrived.`,
    { subject, transient: true },
    { cause },
  );

/** An answer with a status other than 2xx; `said` is the server’s explanation. */
export function statusError(settings: HubSettings, subject: string, response: Response, said: string): RemoteError {
  const { status } = response;
  const kind = response.headers.get('x-error-code') ?? '';
  const words = plain(response.headers.get('x-error-message') || said);
  const quoted = words === '' ? '' : ` The server says: ${words.replace(/\.?$/, '.')}`;
  const make = (code: string, message: string, transient = false): RemoteError =>
    new RemoteError(code, `${subject}: ${message}`, { subject, status, ...(transient ? { transient } : {}) });
  const { token, endpoint } = settings;

  if (kind === 'GatedRepo' || (status === 403 && kind === '' && /gated|awaiting|restricted/i.test(words))) {
    return make(
      'E_REMOTE_GATED',
      `access is granted only to those who accepted its licence. Accept it at ${endpoint}/${subject.split(/[:@ ]/)[0]}, then set HF_TOKEN to a token of that account.${quoted}`,
    );
  }
  if (status === 404 || kind === 'RepoNotFound' || kind === 'RevisionNotFound' || kind === 'EntryNotFound') {
    const what =
      kind === 'RevisionNotFound'
        ? 'there is no such revision. Check the name after @.'
        : kind === 'EntryNotFound'
          ? 'there is no such file in it.'
          : `${endpoint} has nothing of that name. Check the name${token ? '' : '; if it is private, set HF_TOKEN'}.`;
    return make('E_REMOTE_NOT_FOUND', what);
  }
  if (status === 401 || status === 403) {
    const next = token
      ? 'The token in HF_TOKEN was refused; create one with this permission at huggingface.co/settings/tokens.'
      : 'Set HF_TOKEN to a token; if the repository has a licence to accept, accept it on its page first.';
    return make('E_REMOTE_REFUSED', `the server refused (${status}). ${next}${quoted}`);
  }
  const busy = status === 408 || status === 429 || status >= 500;
  return make(
    'E_REMOTE_STATUS',
    `expected an answer, got status ${status}.${quoted} ${busy ? 'Try again later.' : 'Check the call.'}`,
    busy,
  );
}

/** Text from a server, fit for one line of a terminal. */
function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what must not get through
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim();
  return line.length > 200 ? `${line.slice(0, 199)}…` : line;
}

function codeOf(error: unknown): string {
  for (let one = error; one instanceof Error; one = one.cause) {
    const { code } = one as NodeJS.ErrnoException;
    if (typeof code === 'string') return code;
    const [first] = (one as AggregateError).errors ?? [];
    if (typeof first?.code === 'string') return first.code;
  }
  return error instanceof Error ? plain(error.message) : 'unknown';
}
