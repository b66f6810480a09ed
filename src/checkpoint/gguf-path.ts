// Whether a path is a GGUF file, llama.cpp's format: by its name or by how it begins.

import { readFully, statIfThere, withFile } from './io.js';

/** False where there is no regular file. @throws ResourceError E_RESOURCE_… */
export async function isGgufPath(path: string): Promise<boolean> {
  const stats = await statIfThere(path);
  if (!stats?.isFile()) return false;
  if (/\.gguf$/i.test(path)) return true;
  if (stats.size < 4) return false;
  const start = new Uint8Array(4);
  await withFile(path, (handle) => readFully(handle, start, 0, path));
  return Buffer.from(start).toString('latin1') === 'GGUF';
}
