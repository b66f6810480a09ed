// Our own cache: what can be made again from what the user gave.

import { homedir } from 'node:os';
import { join } from 'node:path';

/** The folder of one kind of thing in the cache; it may not exist yet. */
export const cacheFolder = (kind: string): string =>
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'layerwise', kind);
