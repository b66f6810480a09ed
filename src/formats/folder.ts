// A directory that appears complete or not at all: it is filled under another name beside its place, and renamed.

import { mkdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileError, syncDirectory, withTemporary } from '../base/index.js';

/**
 * Lets `fill` fill an empty directory, renames it to `path`, and returns what `fill` returned. If `fill` fails or the process
 * exits, the directory is removed.
 * @throws ResourceError E_RESOURCE_…, and what `fill` throws
 */
export async function writeFolder<T>(path: string, fill: (dir: string) => Promise<T>): Promise<T> {
  return await withTemporary(`${path}.${process.pid}.tmp`, async (temporary) => {
    await mkdir(temporary);
    const result = await fill(temporary);
    await rename(temporary, path);
    await syncDirectory(dirname(path));
    return result;
  }).catch((error) => {
    throw fileError(error, path);
  });
}
