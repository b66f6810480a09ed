// Allocates memory of a size that a file states, which may be more than the machine has.

import { ResourceError } from '../base/portable.js';

/** Zeroed bytes in their own buffer. @throws ResourceError E_RESOURCE_MEMORY */
export function allocate(length: number, path: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    const message = `${path}: ${length} bytes do not fit into memory at once; use a machine with more memory.`;
    throw new ResourceError('E_RESOURCE_MEMORY', message, { path, length }, { cause });
  }
}
