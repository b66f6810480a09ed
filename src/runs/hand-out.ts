// An executor whose trials are done by workers (runs/shared-executor.ts), wherever they are. The search sees what it asked for and in
// the order in which it asked, so plan and record do not depend on them. Blocks of the plan that is chosen are made here, by
// `restore`, like those that a power cut destroyed.

import type { Own } from '../base/index.js';
import { openQueue, openStore } from '../queue/index.js';
import type { LocalExecutor } from './executor.js';
import { createPost, type Post } from './post.js';
import type { QueueSettings } from './queue-options.js';
import { type ShareInput, shareRun } from './share-run.js';
import { requestDigest } from './trial.js';
import type { Workspace } from './workspace.js';

/**
 * Connects to the queue and the store, and shares the run. `own` closes the connections with its scope.
 * @throws UnsupportedError E_UNSUPPORTED_QUEUE; RemoteError E_REMOTE_QUEUE, E_REMOTE_STORE; ResourceError
 */
export async function openPost(own: Own, { url, store: place }: QueueSettings, input: ShareInput): Promise<Post> {
  const queue = await own(openQueue(url, input.onProgress));
  const store = await own(openStore(place));
  const run = await shareRun(store, input);
  return createPost({ queue, store, run, onProgress: input.onProgress });
}

/** Hands the trials of `local` out, at most `slots` at once. */
export function handOut(local: LocalExecutor, post: Post, slots: number, { step }: Workspace): LocalExecutor {
  return {
    ...local,
    slots,
    run: async (request, hints) => {
      // The database that estimates are stitched from is here.
      if (request.stitched) return await local.run(request, hints);
      const { stitched: _, ...rest } = request;
      const { result, by } = await post.deliver({ kind: 'trial', request: rest }, hints);
      // Kept as if it had been done here: the run may go on without workers.
      return await step(`trial-${requestDigest(request)}`, async () => ({ ...result, seconds: by.seconds }));
    },
  };
}
