// Packages that only distributed runs need are optional peers: they are loaded when a run asks for them.

import { ResourceError } from '../base/index.js';

/** Loads an optional peer. @throws ResourceError E_RESOURCE_PACKAGE where it is not installed */
export async function loadPeer<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new ResourceError(
      'E_RESOURCE_PACKAGE',
      `This needs the package ${name}, which is not installed with Layerwise: npm install ${name}.`,
      { package: name },
      { cause },
    );
  }
}
