// Files that appear complete or not at all: write a temporary file, flush it, rename it. Node's file errors become
// ResourceErrors that name the path and the next step.

import { createHash } from 'node:crypto';
import { createReadStream, rmSync } from 'node:fs';
import { type FileHandle, lstat, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { OptionError, ResourceError } from './errors.js';

const HINTS: Readonly<Record<string, readonly [code: string, hint: string]>> = {
  ENOSPC: [
    'E_RESOURCE_DISK_FULL',
    'The disk is full; free some space and run the same command again, with --resume if it has that option.',
  ],
  EDQUOT: [
    'E_RESOURCE_DISK_FULL',
    'The disk quota is used up; free some space and run the same command again, with --resume if it has that option.',
  ],
  EACCES: ['E_RESOURCE_PERMISSION', 'Permission denied; choose a path that you may use.'],
  EPERM: ['E_RESOURCE_PERMISSION', 'Permission denied; choose a path that you may use.'],
  EROFS: ['E_RESOURCE_PERMISSION', 'The file system is read-only; choose another path.'],
  ENOENT: ['E_RESOURCE_NOT_FOUND', 'It does not exist; check the path.'],
  ENOTDIR: ['E_RESOURCE_NOT_FOUND', 'A part of the path is not a directory; check the path.'],
  EISDIR: ['E_RESOURCE_NOT_FILE', 'It is a directory where a file was expected; check the path.'],
  EMFILE: ['E_RESOURCE_HANDLES', 'Too many files are open; raise the limit (ulimit -n).'],
};

/** Wraps a file-system error as a ResourceError that names `path`; other errors pass through unchanged. */
export function fileError(error: unknown, path: string): unknown {
  const errno = (error as NodeJS.ErrnoException | undefined)?.code;
  if (typeof errno !== 'string' || !/^E[A-Z]+$/.test(errno)) return error;
  const [code, hint] = HINTS[errno] ?? ['E_RESOURCE_FILE', `The system reported ${errno}.`];
  return new ResourceError(code, `${path}: ${hint}`, { path, errno }, { cause: error });
}

/** Reads a document of at most `limit` bytes as UTF-8. @throws ResourceError E_RESOURCE_LARGE, E_RESOURCE_… */
export async function readDocument(path: string, limit = 64 << 20): Promise<string> {
  try {
    const info = await stat(path);
    if (!info.isFile() && !info.isFIFO()) {
      throw new ResourceError(
        'E_RESOURCE_NOT_FILE',
        `${path}: expected a file, got a folder or a device; check the path.`,
        { path },
      );
    }
    const { size } = info;
    if (size > limit) {
      const message = `${path}: expected at most ${limit} bytes, got ${size}; this is not a document Layerwise wrote.`;
      throw new ResourceError('E_RESOURCE_LARGE', message, { path, limit, size });
    }
    return await readFile(path, 'utf8');
  } catch (error) {
    throw fileError(error, path);
  }
}

/**
 * Refuses a `path` that exists, even as a dangling link. `option` is the option that named it. @throws OptionError
 * E_OPTION_OUT_EXISTS
 */
export async function requireAbsent(path: string, option = 'out'): Promise<void> {
  const there = await lstat(path).then(
    () => true,
    () => false,
  );
  if (!there) return;
  throw new OptionError('E_OPTION_OUT_EXISTS', `--${option}: ${path} exists; choose another path or remove it.`, {
    option,
    got: path,
  });
}

/** Writes `data` to `path` so that the file is either absent (or old) or complete. @throws ResourceError E_RESOURCE_… */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  await writeAtomically(path, (handle) => handle.writeFile(data));
}

/**
 * Lets `write` fill a temporary file, renames it to `path` once it is complete and flushed, and returns what `write`
 * returned. If `write` fails or the process exits, the temporary file is removed.
 * @throws ResourceError E_RESOURCE_…, and what `write` throws
 */
export async function writeAtomically<T>(path: string, write: (handle: FileHandle) => Promise<T>): Promise<T> {
  return await withTemporary(`${path}.${process.pid}.tmp`, async (temporary) => {
    const handle = await open(temporary, 'w');
    let result: T;
    try {
      result = await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
    return result;
  }).catch((error) => {
    throw fileError(error, path);
  });
}

/** Lets `work` make the file or folder `temporary` and move it away. If `work` fails or the process exits, it is removed. */
export async function withTemporary<T>(temporary: string, work: (temporary: string) => Promise<T>): Promise<T> {
  const leave = (): void => rmSync(temporary, { recursive: true, force: true });
  process.once('exit', leave);
  try {
    return await work(temporary);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    throw error;
  } finally {
    process.off('exit', leave);
  }
}

/**
 * Flushes a directory's entries, so that a rename survives a power cut. Does nothing where the system does not allow
 * it.
 */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(() => undefined);
  if (!handle) return;
  await handle.sync().catch(() => {});
  await handle.close();
}

/** The SHA-256 of a file's bytes, in hexadecimal. @throws ResourceError E_RESOURCE_… */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  } catch (error) {
    throw fileError(error, path);
  }
  return hash.digest('hex');
}
