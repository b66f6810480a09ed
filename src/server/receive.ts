// Reads a request’s body to its end. A body that is too large or not wanted is read and discarded up to a limit before the
// answer is sent: many clients send everything before they read the answer, and a connection that closes earlier is a
// broken pipe for them. Beyond the limit the connection is closed after the answer.

import type { IncomingMessage } from 'node:http';
import { ClientGoneError, RefusedError } from './problems.js';

/** Bytes of an unwanted body that are read. */
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

/** Reads the rest of a body that is not wanted. Returns whether it reached the end. */
export async function discardRest(incoming: IncomingMessage): Promise<boolean> {
  await readOn(incoming, MAX_DISCARDED, () => {});
  return incoming.complete;
}

const announced = (incoming: IncomingMessage): number => Number(incoming.headers['content-length'] ?? 0);

/** Bytes read so far of each request. */
const read = new WeakMap<IncomingMessage, number>();

/** Reads until the end, until more than `most` bytes in all, or until the client disconnects. */
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
