// Reads and writes exact byte ranges. A single system call moves at most 1 GiB, so longer ranges are loops. A range that
// ends early means that the file changed after its header was checked.

import type { Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { CheckpointError, fileError } from '../base/index.js';

const MAX_CALL = 1 << 30;
const COPY_BUFFER = 4 << 20;
/** Includes circular links and impossible file names. */
const NOT_THERE: ReadonlySet<string | undefined> = new Set([
  'ENOENT',
  'ENOTDIR',
  'ELOOP',
  'ENAMETOOLONG',
  'ERR_INVALID_ARG_VALUE',
]);

/** The status of a path, following links; undefined where nothing exists. */
export async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (NOT_THERE.has(code)) return undefined;
    throw fileError(error, path);
  }
}

/** Opens for reading, calls `use`, closes; file-system errors become ResourceErrors. */
export async function withFile<T>(path: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  try {
    const handle = await open(path, 'r');
    try {
      return await use(handle);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError(error, path);
  }
}

/** Fills `target` from `offset` on. @throws CheckpointError E_CHECKPOINT_CHANGED when the file is too short */
export async function readFully(handle: FileHandle, target: Uint8Array, offset: number, path: string): Promise<void> {
  let done = 0;
  while (done < target.length) {
    const length = Math.min(target.length - done, MAX_CALL);
    const { bytesRead } = await handle.read(target, done, length, offset + done);
    if (bytesRead === 0) {
      const expected = `${offset + target.length} bytes`;
      const got = `${offset + done}`;
      const message = `${path}: expected at least ${expected}, got ${got}; the file changed while it was being read.`;
      throw new CheckpointError('E_CHECKPOINT_CHANGED', message, { file: path, expected, got });
    }
    done += bytesRead;
  }
}

/** Appends all of `bytes`. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(bytes.length - done, MAX_CALL));
    done += bytesWritten;
  }
}

/** Appends `length` bytes of `from`, starting at `offset`, to `to`. */
export async function copyRange(
  from: FileHandle,
  to: FileHandle,
  offset: number,
  length: number,
  path: string,
): Promise<void> {
  const buffer = new Uint8Array(Math.min(length, COPY_BUFFER));
  for (let done = 0; done < length; ) {
    const part = buffer.subarray(0, Math.min(buffer.length, length - done));
    await readFully(from, part, offset + done, path);
    await writeFully(to, part);
    done += part.length;
  }
}
