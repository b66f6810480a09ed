// A store is what all processes of a run can read: files by their digests, descriptions of runs, and records of outcomes. What
// is once under a key never changes, though it may be removed. So it does not matter who wrote it, nor how often somebody tried to.

import { InternalError } from '../base/index.js';

export interface Store {
  /** How messages name it; without passwords. */
  readonly name: string;
  /** The bytes under `key`; undefined where there are none. @throws ResourceError, RemoteError */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Writes `bytes` whole or not at all. `there`: something was there before and stays. @throws ResourceError, RemoteError */
  putOnce(key: string, bytes: Uint8Array): Promise<'put' | 'there'>;
  /** Like `putOnce`, with the bytes of a file. */
  putFileOnce(key: string, path: string): Promise<'put' | 'there'>;
  /** Makes `path` a file, or a link to one, with the bytes under `key`. @throws ResourceError, RemoteError */
  fetchFile(key: string, path: string): Promise<void>;
  /** Removes what nobody needs any more; nothing happens where nothing is. @throws ResourceError, RemoteError */
  remove(key: string): Promise<void>;
  close(): Promise<void>;
}

const KEY = /^[a-z]+(\/[A-Za-z0-9][A-Za-z0-9.=-]*)+$/;

/** Keys are made of digests and names of ours, never of what came in; this is the second fence. */
export function checkKey(key: string): string {
  if (KEY.test(key) && !key.includes('..')) return key;
  throw new InternalError('E_INTERNAL_KEY', `Expected a key of the store, got ${JSON.stringify(key)}.`);
}
