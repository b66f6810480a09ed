// Downloads one file from the Hub to a blob in the cache. The bytes are written to `<etag>.layerwise.incomplete`, which a
// later attempt continues with a Range request. (The Python library’s own partial files are left alone; it may be writing
// them.) Size and digest are checked before the blob gets its name. @huggingface/hub’s downloader does none of these three.

import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileError, RemoteError, syncDirectory } from '../base/index.js';
import { blobOf, diskError, makeFolder, sizeOf } from './cache.js';
import { answerError, cutError, hasStatus, isTransient } from './errors.js';
import { type Answer, pause, send } from './http.js';
import type { Repo } from './names.js';
import type { RepoFile } from './repo.js';
import type { HubSettings } from './settings.js';

/** Attempts in a row that make no progress. */
const ATTEMPTS = 5;

/** Receives the number of bytes that have arrived; negative where some must be fetched again. */
export type OnBytes = (bytes: number) => void;

/**
 * Fetches a file's blob. The caller holds the repository's lock.
 * @throws RemoteError E_REMOTE_…, E_REMOTE_CHECKSUM; ResourceError E_RESOURCE_…
 */
export async function downloadBlob(
  settings: HubSettings,
  repo: Repo,
  commit: string,
  file: RepoFile,
  onBytes: OnBytes,
  signal: AbortSignal,
): Promise<string> {
  const target = blobOf(settings, repo, file.etag);
  const partial = `${target}.layerwise.incomplete`;
  await makeFolder(dirname(target));
  let continued = ((await sizeOf(partial)) ?? 0) > 0;
  for (;;) {
    const digest = await fill(settings, repo, commit, file, partial, onBytes, signal);
    if (digest === file.etag) break;
    await rm(partial, { force: true });
    onBytes(-file.size);
    if (!continued) throw checksumError(repo, file, digest);
    continued = false; // the bytes there were not the beginning of this file; start again
  }
  try {
    await rename(partial, target);
  } catch (error) {
    throw fileError(error, target);
  }
  await syncDirectory(dirname(target));
  return target;
}

/** Writes the rest of the file; returns the digest of the whole. */
async function fill(
  settings: HubSettings,
  repo: Repo,
  commit: string,
  file: RepoFile,
  partial: string,
  onBytes: OnBytes,
  signal: AbortSignal,
): Promise<string> {
  const subject = `${repo.name}: ${file.path}`;
  const folder = repo.type === 'dataset' ? 'datasets/' : '';
  const path = file.path.split('/').map(encodeURIComponent).join('/');
  const url = `${settings.endpoint}/${folder}${repo.name}/resolve/${commit}/${path}`;
  const sink = await openSink(partial, file, onBytes);
  try {
    for (let fruitless = 0; sink.size < file.size; ) {
      const before = sink.size;
      try {
        const headers = before > 0 ? { range: `bytes=${before}-` } : {};
        const answer = await send(settings, subject, url, { headers, signal, attempts: 1 });
        if (before > 0 && !continues(answer, before, file.size)) await sink.restart();
        await receive(answer, sink, file, subject);
      } catch (error) {
        if (signal.aborted) throw error;
        if (hasStatus(error, 416)) await sink.restart();
        else if (!isTransient(error)) throw error;
        fruitless = sink.size > before ? 0 : fruitless + 1;
        if (fruitless >= ATTEMPTS) throw error;
        await pause(fruitless);
      }
    }
    return await sink.digest();
  } catch (error) {
    throw diskError(error, settings, file.size - sink.size);
  } finally {
    await sink.close();
  }
}

/** Whether a response has the rest of the file; a server may send all of it instead. */
function continues({ response }: Answer, from: number, size: number): boolean {
  return response.status === 206 && response.headers.get('content-range') === `bytes ${from}-${size - 1}/${size}`;
}

async function receive(answer: Answer, sink: Sink, file: RepoFile, subject: string): Promise<void> {
  for await (const chunk of answer.chunks()) {
    if (sink.size + chunk.length > file.size) {
      await sink.restart();
      throw answerError(subject, `expected ${file.size} bytes, got more`);
    }
    await sink.write(chunk);
  }
  if (sink.size < file.size) throw cutError(subject, `${sink.size} of ${file.size} bytes`);
}

type Sink = {
  readonly size: number;
  write(chunk: Uint8Array): Promise<void>;
  /** Discards what has been written. */
  restart(): Promise<void>;
  digest(): Promise<string>;
  close(): Promise<void>;
};

/** A growing file and the digest of its contents; what an earlier attempt left is its beginning. */
async function openSink(path: string, file: RepoFile, onBytes: OnBytes): Promise<Sink> {
  let hash = startHash(file);
  let size = 0;
  const there = (await sizeOf(path)) ?? 0;
  let handle: FileHandle;
  try {
    handle = await open(path, there > 0 && there <= file.size ? 'r+' : 'w');
    if (there > 0 && there <= file.size) {
      for await (const chunk of createReadStream(path)) {
        hash.update(chunk as Buffer);
        size += (chunk as Buffer).length;
      }
    }
  } catch (error) {
    throw fileError(error, path);
  }
  onBytes(size);
  return {
    get size() {
      return size;
    },
    write: async (chunk) => {
      for (let done = 0; done < chunk.length; ) {
        done += (await handle.write(chunk, done, chunk.length - done, size + done)).bytesWritten;
      }
      hash.update(chunk);
      size += chunk.length;
      onBytes(chunk.length);
    },
    restart: async () => {
      await handle.truncate(0);
      onBytes(-size);
      hash = startHash(file);
      size = 0;
    },
    digest: async () => {
      await handle.sync();
      return hash.digest('hex');
    },
    close: () => handle.close(),
  };
}

/** SHA-256 of the bytes for LFS files; for others SHA-1 of git’s header and the bytes. */
function startHash({ etag, size }: RepoFile): Hash {
  return etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
}

function checksumError(repo: Repo, { path, etag }: RepoFile, digest: string): RemoteError {
  return new RemoteError(
    'E_REMOTE_CHECKSUM',
    `${repo.name}: ${path}: expected the digest ${etag}, got ${digest}; the download was damaged and is discarded. Run the same command again.`,
    { repo: repo.name, file: path, expected: etag, got: digest },
  );
}
