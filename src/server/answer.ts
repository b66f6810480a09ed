// Turns completions into a response, whole or as events, and ends the call in every case.

import type { Completion } from '../generation/index.js';
import type { Answers } from './ask.js';
import type { EventStream } from './sse.js';

type Done = readonly Completion[];

/** One JSON document when all is done. @throws the reason why the call ended without an answer */
export async function answerWhole({ call, completions }: Answers, render: (done: Done) => object): Promise<Response> {
  try {
    const response = Response.json(render(await completions));
    call.end();
    return response;
  } catch (error) {
    call.end(error);
    throw error;
  }
}

/** Sends events until all is done; `finish` sends the last ones. */
export function answerStream(
  { call, completions }: Answers,
  events: EventStream,
  finish: (done: Done) => void,
): Response {
  completions
    .then((done) => {
      finish(done);
      events.close();
      call.end();
    })
    .catch((error) => {
      events.close(error);
      call.end(error);
    });
  return events.response;
}
