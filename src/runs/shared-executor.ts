// The other side of a run that was shared: a worker opens it from the store and runs its trials with the executor that every run
// has. The checkpoint is a folder of links to the store's files, or of copies, whose digests are checked here.

import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  digestOf,
  NumericError,
  type OnProgress,
  OptionError,
  type Own,
  ResourceError,
  sha256,
} from '../base/index.js';
import { hashCheckpoint } from '../checkpoint/index.js';
import { type Model, openModel } from '../model/index.js';
import type { Store } from '../queue/index.js';
import { type Outcome, parseSharedRun, type SharedRun } from '../records/index.js';
import { checkVocabulary, type Windows } from '../text/index.js';
import { openEngine } from './engine.js';
import { createLocalExecutor, type LocalExecutor } from './executor.js';
import { createLeafWorker, type LeafWorker } from './leaf-worker.js';
import type { Work } from './post.js';
import { prepareTrials } from './prepare-trials.js';
import { requireTextModel } from './queue-options.js';
import { fetchShared, otherBytes, runKey, textKey } from './share-run.js';
import { unpackWindows } from './shared-texts.js';
import { requestDigest } from './trial.js';
import type { Workspace } from './workspace.js';

export type SharedInput = {
  readonly store: Store;
  /** Where blocks and the checkpoint lie while the run is open. */
  readonly workspace: Workspace;
  readonly threads: number;
  /** Aborted once nobody needs the run any more: an opening ends at its next file, or where it uses the engine that its scope closed. */
  readonly left: AbortSignal;
  readonly onProgress: OnProgress;
};

/** Does the work of a shared run. */
export interface SharedExecutor {
  run(work: Work, label: string): Promise<Outcome['result']>;
}

/**
 * The description of a run, if this process may take part in it.
 * @throws ResourceError E_RESOURCE_NOT_FOUND; NumericError E_NUMERIC_WORKER where its numbers would differ
 */
export async function readSharedRun(store: Store, run: string, numerics: string): Promise<SharedRun> {
  const key = runKey(run);
  const bytes = await fetchBytes(store, key, run);
  const description = parseSharedRun(Buffer.from(bytes).toString('utf8'), `${store.name}/${key}`);
  if (description.numerics === numerics) return description;
  throw new NumericError(
    'E_NUMERIC_WORKER',
    `This worker computes other last bits (${numerics.slice(0, 12)}) than the run (${description.numerics.slice(0, 12)}, layerwise ${description.tool}): the processor is of another class, or layerwise or onnxruntime-node of another version. Take machines of one kind, with the same packages.`,
    { expected: description.numerics, got: numerics },
  );
}

/** Opens a run; `own` closes it with its scope. @throws CheckpointError, ResourceError, RemoteError */
export async function openSharedRun(
  own: Own,
  run: string,
  shared: SharedRun,
  input: SharedInput,
): Promise<SharedExecutor> {
  const { store, workspace, threads, left, onProgress } = input;
  const model = await fetchModel(shared, input);
  requireTextModel(model);
  const modelDigest = digestOf(await hashCheckpoint(model.checkpoint, shared.checkpoint.files));
  const texts = {
    calibration: await fetchText(store, shared.texts.calibration, model),
    validation: await fetchText(store, shared.texts.validation, model),
  };
  left.throwIfAborted();
  const opening: Promise<unknown>[] = [];
  // Closed after the engine, without which nothing that is being opened goes on.
  await own({ close: async () => void (await Promise.allSettled(opening)) });
  const engine = await own(openEngine(model, { device: 'cpu', threads, onProgress }));
  const { hessian, statistics } = shared;
  const at = { engine, model, workspace, onProgress };
  const openTrials = async (): Promise<LocalExecutor> => {
    const parts = await prepareTrials(own, { ...at, hessian, texts, statistics, measures: [] });
    return createLocalExecutor(own, { ...at, ...parts });
  };
  let trials: Promise<LocalExecutor> | undefined;
  let leaves: LeafWorker | undefined;
  return {
    run: async (work, label) => {
      checkRequest(work.request, shared, modelDigest);
      if (work.kind === 'leaf') {
        if (!texts.calibration) throw otherName('calibration');
        leaves ??= createLeafWorker(own, { ...at, store, run, content: texts.calibration.content });
        return await leaves.run(work.request);
      }
      const { request } = work;
      if (!trials) {
        trials = openTrials();
        opening.push(trials);
      }
      const executor = await trials;
      const { seconds: _, ...result } = await executor.run(request, { label });
      // Whoever chooses the plan makes its blocks.
      await executor.blocks.discard(requestDigest(request));
      return { ...result, losses: [...result.losses], errors: [...result.errors] } as Outcome['result'];
    },
  };
}

/** A request is of this run's model and texts. @throws OptionError E_OPTION_LETTER */
function checkRequest(request: Work['request'], { texts, hessian }: SharedRun, model: string): void {
  const calibration = texts.calibration?.record;
  const ofTrial = {
    ...{ model, calibration, validation: texts.validation?.record },
    hessian: hessian === 'loss' ? hessian : undefined,
  };
  const expected = 'plan' in request ? ofTrial : { model, calibration };
  for (const [name, value] of Object.entries(expected)) {
    if ((request as Readonly<Record<string, unknown>>)[name] !== value) throw otherName(name);
  }
}

const otherName = (name: string): OptionError =>
  new OptionError('E_OPTION_LETTER', `A letter asks for work with another ${name} than its run has.`, { name });

async function fetchBytes(store: Store, key: string, digest: string): Promise<Uint8Array> {
  const bytes = await store.get(key);
  if (bytes) {
    if (sha256(bytes) === digest) return bytes;
    throw otherBytes(store, key);
  }
  throw new ResourceError(
    'E_RESOURCE_STORE',
    `${store.name}/${key}: not in this store. Give workers the same --store as the run.`,
    { store: store.name, key },
  );
}

async function fetchText(
  store: Store,
  text: SharedRun['texts']['calibration'],
  model: Model,
): Promise<{ readonly content: Windows } | undefined> {
  if (!text) return undefined;
  const key = textKey(text.content);
  const content = unpackWindows(await fetchBytes(store, key, text.content), `${store.name}/${key}`);
  checkVocabulary(content, model.config.vocabulary);
  return { content };
}

async function fetchModel({ checkpoint }: SharedRun, input: SharedInput): Promise<Model> {
  const { store, workspace, left, onProgress } = input;
  const dir = workspace.at('checkpoint');
  await rm(dir, { recursive: true, force: true });
  const files = Object.entries(checkpoint.files);
  onProgress({ kind: 'stage', stage: `fetching the checkpoint from ${store.name}`, total: files.length, unit: 'file' });
  for (const [path, digest] of files) {
    left.throwIfAborted();
    const file = join(dir, ...path.split('/'));
    await mkdir(dirname(file), { recursive: true });
    await fetchShared(store, digest, file);
    onProgress({ kind: 'advance' });
  }
  const origin = checkpoint.gguf === undefined ? undefined : { path: dir, sha256: checkpoint.gguf };
  return await openModel(dir, origin);
}
