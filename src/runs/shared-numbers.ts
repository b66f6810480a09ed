// Sums and edited tensors in a store: raw bytes in parts, each under its digest, because a Gram matrix may have more bytes than one
// object or one buffer can. They lie under their run and round, so that whoever has read a round may remove it.

import { CheckpointError, sha256 } from '../base/index.js';
import type { Store } from '../queue/index.js';
import type { LeafResult } from '../records/index.js';
import type { Numbers } from '../stream/index.js';

/** Bytes of one part. */
const PART = 64 << 20;

export const numbersKey = (run: string, round: string, digest: string): string => `numbers/${run}/${round}/${digest}`;

const bytesOf = ({ buffer, byteOffset, byteLength }: Numbers | Uint8Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** @returns the digests of the parts. @throws ResourceError, RemoteError */
export async function putNumbers(
  store: Store,
  run: string,
  round: string,
  values: Numbers | Uint8Array,
): Promise<string[]> {
  const bytes = bytesOf(values);
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += PART) {
    const part = bytes.subarray(at, at + PART);
    const digest = sha256(part);
    await store.putOnce(numbersKey(run, round, digest), part);
    parts.push(digest);
  }
  return parts;
}

type Sum = LeafResult['sums'][number];

/** The numbers of a sum. @throws CheckpointError E_CHECKPOINT_STORE where they are not what it promises */
export async function getNumbers(store: Store, run: string, round: string, sum: Sum): Promise<Numbers> {
  const values = sum.type === 'f32' ? new Float32Array(sum.length) : new Float64Array(sum.length);
  const bytes = bytesOf(values);
  let at = 0;
  for (const digest of sum.parts) {
    const part = await getBytes(store, run, round, digest);
    if (at + part.length > bytes.length) throw otherNumbers(store, numbersKey(run, round, digest));
    bytes.set(part, at);
    at += part.length;
  }
  if (at !== bytes.length) throw otherNumbers(store, numbersKey(run, round, sum.parts.at(-1)!));
  return values;
}

/** One part. @throws CheckpointError E_CHECKPOINT_STORE */
export async function getBytes(store: Store, run: string, round: string, digest: string): Promise<Uint8Array> {
  const key = numbersKey(run, round, digest);
  const part = await store.get(key);
  if (part && sha256(part) === digest) return part;
  throw otherNumbers(store, key);
}

const otherNumbers = (store: Store, key: string): CheckpointError =>
  new CheckpointError(
    'E_CHECKPOINT_STORE',
    `${store.name}/${key}: the bytes are not those that an outcome promises. Start the run again, in a new store.`,
    { store: store.name, key },
  );
