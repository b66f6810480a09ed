// Server-sent events as OpenAI’s clients read them: each is `data: <JSON>` and an empty line, the last is `data: [DONE]`.
// An error after the first byte can only be sent as one more event.

import { describeProblem } from './problems.js';

export interface EventStream {
  send(value: unknown): void;
  /** Ends the stream, with an error if there is one. */
  close(error?: unknown): void;
  readonly response: Response;
}

/** `onCancel` runs if the client disconnects early. */
export function createEventStream(onCancel: () => void): EventStream {
  const encoder = new TextEncoder();
  let sink: ReadableStreamDefaultController<Uint8Array> | undefined;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      sink = controller;
    },
    cancel: () => {
      sink = undefined;
      onCancel();
    },
  });
  const write = (data: string): void => sink?.enqueue(encoder.encode(`data: ${data}\n\n`));
  return {
    send: (value) => write(JSON.stringify(value)),
    close(error) {
      if (error !== undefined) write(JSON.stringify({ error: describeProblem(error).error }));
      else write('[DONE]');
      sink?.close();
      sink = undefined;
    },
    response: new Response(body, {
      headers: {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache',
        'x-accel-buffering': 'no', // otherwise nginx buffers the events
      },
    }),
  };
}
