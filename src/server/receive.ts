// A request's body, read to its end. One that is too large, or that nobody wants, is read on and thrown away up to a bound
// before the answer goes: many clients send all they have before they look for an answer, and an answer with a closed
// connection in the middle of that is a broken pipe to them. Past the bound the connection is closed after the answer.

import type { IncomingMessage } from 'node:http';
import { ClientGoneError, RefusedError } from './problems.js';

/** Bytes that are read of a body without a use for them. */
const MAX_DISCARDED = 64 << 20;

/** The body as text. @throws RefusedError where it has more than `limit` bytes or is no UTF-8; ClientGoneError */
export async function receiveText(incoming: IncomingMessage, limit: number): Promise<string> {
  const kept: Buffer[] = [];
  let size = 0;
  await readOn(incoming, limit + MAX_DISCARDED, (chunk) => {
    size += chunk.length;
    if (size <= limit) kept.push(chunk);
    else kept.length = 0;
  });
  if (size > limit || announced(incoming) > limit) {
    const message = `The body is too large: expected at most ${limit} bytes.`;
    throw new RefusedError(message, { status: 413, word: 'body_too_large' });
  }
  if (!incoming.complete) throw new ClientGoneError();
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(kept));
  } catch {
    throw new RefusedError('The body is not UTF-8.', { word: 'invalid_json' });
  }
}

/** Reads what is left of a body that is not wanted. Returns whether its end was reached. */
export async function discardRest(incoming: IncomingMessage): Promise<boolean> {
  await readOn(incoming, MAX_DISCARDED, () => {});
  return incoming.complete;
}

const announced = (incoming: IncomingMessage): number => Number(incoming.headers['content-length'] ?? 0);

/** Bytes that were read of each. */
const read = new WeakMap<IncomingMessage, number>();

/** Reads to the end, to more than `most` bytes of it all, or until the client goes. */
function readOn(incoming: IncomingMessage, most: number, onChunk: (chunk: Buffer) => void): Promise<void> {
  let size = read.get(incoming) ?? 0;
  const isOver = incoming.readableEnded || incoming.destroyed;
  if (isOver || size > most || announced(incoming) > most) return Promise.resolve();
  return new Promise((resolve) => {
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      read.set(incoming, size);
      onChunk(chunk);
      if (size > most) finish();
    };
    const finish = (): void => {
      incoming.pause();
      incoming.off('data', onData);
      for (const event of ENDS) incoming.off(event, finish);
      resolve();
    };
    for (const event of ENDS) incoming.on(event, finish);
    incoming.on('data', onData);
    incoming.resume();
  });
}

const ENDS = ['end', 'close', 'error'] as const;
