// An executor whose trials are done by workers (runs/shared-executor.ts), wherever they are. The search sees what it asked for and in
// the order in which it asked, so plan and record do not depend on them. Blocks of the plan that is chosen are made here, by
// `restore`, like those that a power cut destroyed.

import { InternalError, type Own } from '../base/index.js';
import { openQueue, openStore, type Store } from '../queue/index.js';
import { createLocalExecutor, type ExecutorContext, type LocalExecutor } from './executor.js';
import { createPost, type Post } from './post.js';
import { prepareTrials, type TrialInput, type TrialParts } from './prepare-trials.js';
import type { QueueSettings } from './queue-options.js';
import { createRemoteCalibration } from './remote-calibration.js';
import { type ShareInput, shareRun } from './share-run.js';
import { requestDigest, type TrialRequest } from './trial.js';
import type { Workspace } from './workspace.js';

/**
 * Connects to the queue and the store, and shares the run. `own` closes the connections with its scope.
 * @throws UnsupportedError E_UNSUPPORTED_QUEUE; RemoteError E_REMOTE_QUEUE, E_REMOTE_STORE; ResourceError
 */
async function openPost(own: Own, { url, store: place }: QueueSettings, input: ShareInput): Promise<Connected> {
  const queue = await own(openQueue(url, input.onProgress));
  const store = await own(openStore(place));
  const run = await shareRun(store, input);
  return { post: createPost({ queue, store, run, onProgress: input.onProgress }), store, run };
}

type Connected = { readonly post: Post; readonly store: Store; readonly run: string };

/** Hands the trials of `local` out, at most `slots` at once; but not those that are here, and hand out their text themselves. */
function handOut(
  local: LocalExecutor,
  post: Post,
  slots: number,
  { step }: Workspace,
  isHere: (request: TrialRequest) => boolean,
): LocalExecutor {
  return {
    ...local,
    slots,
    run: async (request, hints) => {
      // The database that estimates are stitched from is here.
      if (request.stitched || isHere(request)) return await local.run(request, hints);
      const { stitched: _, ...rest } = request;
      const { result, by } = await post.deliver({ kind: 'trial', request: rest }, hints);
      if (!('losses' in result)) throw new InternalError('E_INTERNAL_OUTCOME', 'A trial has the outcome of a leaf.');
      // Kept as if it had been done here: the run may go on without workers.
      return await step(`trial-${requestDigest(request)}`, async () => ({ ...result, seconds: by.seconds }));
    },
  };
}

type TrialsInput = TrialInput &
  ShareInput &
  Pick<ExecutorContext, 'operator'> & {
    /** Whether many trials are to be expected. A run of one plan hands out its calibration text instead. */
    readonly searches: boolean;
  };

/** What all trials of a run share, and what runs them. */
type Trials = TrialParts & {
  readonly executor: LocalExecutor;
  /** Undefined where trials are not handed out. */
  readonly post: Post | undefined;
};

/** Opens a run's trials, which are handed out over `queue` where there is one. `own` closes them with its scope. @throws as `openPost` */
export async function openTrials(own: Own, queue: QueueSettings | undefined, input: TrialsInput): Promise<Trials> {
  // A queue that does not answer ends the run before the dense pass.
  const connected = queue && (await openPost(own, queue, input));
  const parts = await prepareTrials(own, input);
  const { calibration } = parts;
  if (!connected) return { ...parts, post: undefined, executor: createLocalExecutor(own, { ...input, ...parts }) };
  const { post } = connected;
  const { operator, hessian, model, workspace } = input;
  // How much tokens count by the loss follows from the whole text.
  const spreads = calibration && !input.searches && hessian === 'output' && (operator?.needs.length ?? 0) > 0;
  const remote: ExecutorContext['remote'] = spreads
    ? ({ needs }, request, label) =>
        createRemoteCalibration({ ...connected, model, calibration }, needs, request, label)
    : undefined;
  const local = createLocalExecutor(own, { ...input, ...parts, remote });
  const isHere = ({ fidelity, loss }: TrialRequest): boolean =>
    remote !== undefined && fidelity === 'exact' && loss === 'likelihood';
  return { ...parts, post, executor: handOut(local, post, queue.workers, workspace, isHere) };
}
