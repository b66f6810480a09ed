// Opens a .lw file that is not on disk: bytes in memory, a Blob (a file that the user picked, or one that the browser
// keeps outside its memory), or the response to a request. Works in a web page and in Node.

import { CheckpointError, RemoteError, ResourceError, UnsupportedError } from '../base/portable.js';
import { toHex } from './format.js';
import { type ByteSource, type PackedFile, readPacked } from './read.js';

/** The bytes of a .lw file. Each part of a Blob is read once, so the file need not be in memory twice. */
export type PackedBytes = ArrayBuffer | Uint8Array | Blob | Response;

/** Bytes copied from a Blob at once. */
const BLOB_PIECE = 16 << 20;

/**
 * Opens a .lw file from its bytes, as `openPacked` opens one on disk. `name` is for messages. The bytes must not change
 * before the weights are read.
 * @throws as `readPacked`; RemoteError E_REMOTE_STATUS, E_REMOTE_CUT; UnsupportedError E_UNSUPPORTED_PAGE
 */
export async function openPackedBytes(bytes: PackedBytes, name?: string): Promise<PackedFile> {
  return await readPacked(await sourceOf(bytes, name));
}

async function sourceOf(bytes: PackedBytes, name: string | undefined): Promise<ByteSource> {
  if (bytes instanceof Response) {
    const path = name ?? (bytes.url || 'the response');
    return sourceOf(await bodyOf(bytes, path), path);
  }
  const path = name ?? ((bytes as { readonly name?: string }).name || 'the model');
  const common = { path, sha256, close: async () => {} };
  if (bytes instanceof Blob) return { ...common, size: bytes.size, read: readBlob(bytes, path) };
  const view = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
  const read = async (target: Uint8Array, offset: number): Promise<void> => {
    // A buffer that was transferred in the meantime has length 0.
    if (view.length < offset + target.length) throw changedError(path);
    target.set(view.subarray(offset, offset + target.length));
  };
  return { ...common, size: view.length, read };
}

const readBlob = (blob: Blob, path: string) => async (target: Uint8Array, offset: number) => {
  for (let done = 0; done < target.length; done += BLOB_PIECE) {
    const length = Math.min(BLOB_PIECE, target.length - done);
    const begin = offset + done;
    const piece = await blob
      .slice(begin, begin + length)
      .arrayBuffer()
      .catch((cause) => {
        throw changedError(path, cause);
      });
    if (piece.byteLength < length) throw changedError(path);
    target.set(new Uint8Array(piece), done);
  }
};

async function bodyOf(response: Response, path: string): Promise<Blob> {
  if (!response.ok) {
    const message = `${path}: expected the file, got status ${response.status}; check the address.`;
    throw new RemoteError('E_REMOTE_STATUS', message, { path, status: response.status });
  }
  try {
    return await response.blob();
  } catch (cause) {
    const message = `${path}: the response ended early: ${(cause as Error).message}; request it again.`;
    throw new RemoteError('E_REMOTE_CUT', message, { path }, { cause });
  }
}

/** @throws UnsupportedError E_UNSUPPORTED_PAGE where the page may not compute checksums */
async function sha256(bytes: Uint8Array): Promise<string> {
  const subtle = (globalThis.crypto as typeof globalThis.crypto | undefined)?.subtle;
  if (!subtle) {
    const message =
      'Expected a page that may compute checksums (crypto.subtle), got one served over plain HTTP; serve it over HTTPS or from localhost.';
    throw new UnsupportedError('E_UNSUPPORTED_PAGE', message);
  }
  try {
    return toHex(new Uint8Array(await subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)));
  } catch (cause) {
    const message = `The checksum of ${bytes.length} bytes cannot be computed: ${(cause as Error).message}. Use a machine with more memory.`;
    throw new ResourceError('E_RESOURCE_MEMORY', message, { bytes: bytes.length }, { cause });
  }
}

function changedError(file: string, cause?: unknown): CheckpointError {
  const message = `${file}: its bytes can no longer be read, because they changed during reading. Open it again.`;
  return new CheckpointError('E_CHECKPOINT_CHANGED', message, { file }, { cause });
}
