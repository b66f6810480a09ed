// Memory for what a file says it holds, which may be more than there is.

import { ResourceError } from '../base/portable.js';

/** Zeroed bytes in a buffer of their own. @throws ResourceError E_RESOURCE_MEMORY */
export function allocate(length: number, path: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    const message = `${path}: ${length} bytes do not fit into memory at once; use a machine with more memory.`;
    throw new ResourceError('E_RESOURCE_MEMORY', message, { path, length }, { cause });
  }
}
