// Errors in the form of OpenAI’s API: { error: { message, type, param, code } } and an HTTP status. Client errors are
// reported in full; server errors are reported without paths or stack traces.

import { LayerwiseError, OptionError } from '../base/index.js';

export type Status = 400 | 401 | 403 | 404 | 413 | 415 | 429 | 499 | 500 | 503 | 504;

export type Problem = {
  readonly status: Status;
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
};

/** A request that cannot be served as it is. `code` is OpenAI’s word for the problem, if there is one. */
export class RefusedError extends OptionError {
  readonly status: Status;
  readonly param: string | null;
  readonly word: string;

  constructor(message: string, about: { param?: string; word?: string; status?: Status } = {}) {
    const { param, word = 'invalid_value', status = 400 } = about;
    super('E_OPTION_REQUEST', message, { option: param, status });
    this.status = status;
    this.param = param ?? null;
    this.word = word;
  }
}

/** The reason why a request ended without an answer: its time was up, or the server stops. */
export class EndedError extends LayerwiseError {
  readonly status: 503 | 504;

  constructor(status: 503 | 504, message: string) {
    super(status === 504 ? 'E_RESOURCE_TIMEOUT' : 'E_RESOURCE_CLOSED', message, { status });
    this.status = status;
  }
}

/** The client disconnected, so nobody receives an answer. */
export class ClientGoneError extends LayerwiseError {
  constructor() {
    super('E_RESOURCE_CLIENT', 'The client closed the connection before the answer was complete.');
  }
}

/** A problem with the chat template is reported to the client. */
const TOLD = ['E_TEXT_CHAT_TEMPLATE', 'E_UNSUPPORTED_CHAT_TEMPLATE'];

/** The answer to an error. */
export function describeProblem(error: unknown): Problem {
  if (error instanceof RefusedError) {
    const type = error.status === 401 ? 'authentication_error' : 'invalid_request_error';
    return problem(error.status, error.message, type, error.word, error.param);
  }
  if (error instanceof EndedError) {
    const word = error.status === 504 ? 'timeout' : 'shutting_down';
    return problem(error.status, error.message, 'server_error', word);
  }
  if (error instanceof ClientGoneError) return problem(499, error.message, 'client_error', error.code); // nginx's number
  if (error instanceof LayerwiseError) {
    if (error.code === 'E_RESOURCE_QUEUE') {
      return problem(429, error.message, 'rate_limit_error', 'rate_limit_exceeded');
    }
    if (error.code === 'E_RESOURCE_CLOSED') return problem(503, error.message, 'server_error', 'shutting_down');
    if (error.code === 'E_RESOURCE_DEVICE') {
      return problem(
        503,
        'The GPU of this server failed; it has to be started again.',
        'server_error',
        'device_failed',
      );
    }
    if (error instanceof OptionError || TOLD.includes(error.code)) {
      const { option } = error.facts;
      return problem(
        400,
        error.message,
        'invalid_request_error',
        error.code,
        typeof option === 'string' ? option : null,
      );
    }
    return problem(500, `The model could not answer (${error.code}).`, 'server_error', error.code);
  }
  return problem(500, 'Something unexpected went wrong.', 'server_error', 'E_INTERNAL_UNEXPECTED');
}

const problem = (
  status: Status,
  message: string,
  type: string,
  code: string | null,
  param: string | null = null,
): Problem => ({ status, error: { message, type, param, code } });
