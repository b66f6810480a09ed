// Our own caches: what can be made again from what the user gave.

import { homedir } from 'node:os';
import { join } from 'node:path';

/** The folder of one kind: the tokens of texts, the twins of GGUF files. */
export const cacheFolder = (kind: 'tokens' | 'gguf'): string =>
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'layerwise', kind);
