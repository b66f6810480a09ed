// Opens .lw files on disk.

import { type FileHandle, open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileError } from '../base/index.js';
import { isGgufPath, readFully, statIfThere } from '../checkpoint/index.js';
import { packedError } from './format.js';
import { sha256 } from './hash.js';
import { type ByteSource, type PackedFile, readPacked } from './read.js';

/**
 * Opens a .lw file and checks everything except the numbers in it. The file stays open until `close`.
 * @throws as `readPacked`; ResourceError E_RESOURCE_…
 */
export async function openPacked(path: string): Promise<PackedFile> {
  const stats = await statIfThere(path);
  if (!stats?.isFile()) throw packedError(path, 'a file', stats ? 'something else' : 'nothing');
  const handle = await open(path, 'r').catch((error) => {
    throw fileError(error, path);
  });
  try {
    return await readPacked(await fromFile(resolve(path), handle));
  } catch (error) {
    await handle.close();
    throw fileError(error, path);
  }
}

/** Whether a path is a .lw file, not a checkpoint: whether it is a regular file, other than a GGUF file. */
export async function isPackedPath(path: string): Promise<boolean> {
  return ((await statIfThere(path))?.isFile() ?? false) && !(await isGgufPath(path));
}

const fromFile = async (path: string, handle: FileHandle): Promise<ByteSource> => ({
  path,
  size: (await handle.stat()).size,
  read: async (target, offset) => {
    await readFully(handle, target, offset, path).catch((error) => {
      throw fileError(error, path);
    });
  },
  sha256,
  close: () => handle.close(),
});
