// A store by its name on the command line.

import { openDirectoryStore } from './directory-store.js';
import { openS3Store } from './s3-store.js';
import type { Store } from './store.js';

/** Opens `s3://bucket/prefix`, or a directory. @throws OptionError E_OPTION_STORE; ResourceError, RemoteError */
export const openStore = (place: string): Promise<Store> =>
  /^s3:/i.test(place) ? openS3Store(place) : openDirectoryStore(place);
