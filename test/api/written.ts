// Counts the bytes that this process writes to files through Node's file handles, as all of src does.

import { type FileHandle, open } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** How many bytes `work` writes, and what it gives. */
export async function countWritten<T>(work: () => Promise<T>): Promise<{ readonly bytes: number; readonly result: T }> {
  const handle = await open(fileURLToPath(import.meta.url));
  const prototype = Object.getPrototypeOf(handle) as Pick<FileHandle, 'write' | 'writeFile'>;
  await handle.close();
  const { write, writeFile } = prototype;
  let bytes = 0;
  prototype.write = async function (this: FileHandle, ...given: unknown[]) {
    const result = await (write as (...given: unknown[]) => Promise<{ bytesWritten: number }>).apply(this, given);
    bytes += result.bytesWritten;
    return result;
  } as FileHandle['write'];
  prototype.writeFile = async function (this: FileHandle, data: string | Uint8Array) {
    bytes += Buffer.byteLength(data);
    await writeFile.call(this, data);
  } as FileHandle['writeFile'];
  try {
    return { result: await work(), bytes };
  } finally {
    Object.assign(prototype, { write, writeFile });
  }
}
