// Server-sent events as OpenAI's clients read them: `data: <JSON>` and an empty line each, `data: [DONE]` at the end. An
// error after the first byte can only be told as one more event.

import { describeProblem } from './problems.js';

export interface EventStream {
  send(value: unknown): void;
  /** The end of it, with the error where there is one. */
  close(error?: unknown): void;
  readonly response: Response;
}

/** `onCancel` is told where the reader goes before the end. */
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
        'x-accel-buffering': 'no', // nginx would collect it
      },
    }),
  };
}
