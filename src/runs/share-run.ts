// Puts what workers need of a run into a store: the checkpoint's files and the texts' windows, by their digests, and a description
// that names them, by its own. It is the same for an interrupted run that continues.

import { join } from 'node:path';
import { CheckpointError, digestOf, hashFile, type OnProgress, sha256, VERSION } from '../base/index.js';
import { INDEX } from '../checkpoint/index.js';
import type { Model } from '../model/index.js';
import type { Store } from '../queue/index.js';
import type { SharedRun } from '../records/index.js';
import type { HessianKind } from './defaults.js';
import { measureNumerics } from './numerics.js';
import { refuseQueue } from './queue-options.js';
import { packWindows } from './shared-texts.js';
import type { Prepared, PreparedTexts } from './texts.js';

export type ShareInput = {
  readonly model: Model;
  /** Of `hashCheckpoint`. */
  readonly hashes: Readonly<Record<string, string>>;
  readonly texts: Pick<PreparedTexts, 'calibration' | 'validation'>;
  readonly hessian: HessianKind;
  readonly statistics: boolean;
  readonly onProgress: OnProgress;
};

export const fileKey = (digest: string): string => `files/${digest}`;
export const textKey = (digest: string): string => `texts/${digest}`;
export const runKey = (run: string): string => `runs/${run}`;

/** Makes `path` the file of that digest, or a link to it. @throws CheckpointError E_CHECKPOINT_STORE; ResourceError, RemoteError */
export async function fetchShared(store: Store, digest: string, path: string): Promise<void> {
  const key = fileKey(digest);
  await store.fetchFile(key, path);
  if ((await hashFile(path)) !== digest) throw otherBytes(store, key);
}

export const otherBytes = (store: Store, key: string): CheckpointError =>
  new CheckpointError(
    'E_CHECKPOINT_STORE',
    `${store.name}/${key}: the bytes are not those that the name promises. Start the run again, in a new store.`,
    { store: store.name, key },
  );

/** Shares a run. @returns its digest @throws UnsupportedError E_UNSUPPORTED_QUEUE; ResourceError, RemoteError */
export async function shareRun(store: Store, input: ShareInput): Promise<string> {
  const { model, hashes, texts, hessian, statistics, onProgress } = input;
  const { checkpoint } = model;
  // What opens the checkpoint and gives it the same digest; what else lies beside the weights stays here.
  const { gguf, ...hashed } = hashes;
  const paths = [...Object.keys(hashed), ...(checkpoint.files.includes(INDEX) ? [INDEX] : [])].sort();
  onProgress({ kind: 'stage', stage: `sharing the checkpoint in ${store.name}`, total: paths.length, unit: 'file' });
  const files: Record<string, string> = {};
  for (const path of paths) {
    const file = join(checkpoint.dir, path);
    files[path] = hashed[path] ?? (await hashFile(file));
    await store.putFileOnce(fileKey(files[path]), file);
    onProgress({ kind: 'advance' });
  }
  const share = async (text: Prepared | undefined): Promise<SharedRun['texts']['calibration']> => {
    if (!text) return undefined;
    if (!('windows' in text.content)) return refuseQueue(model);
    const bytes = packWindows(text.content);
    const content = sha256(bytes);
    await store.putOnce(textKey(content), bytes);
    return { record: digestOf(text.record), content };
  };
  const [calibration, validation] = [await share(texts.calibration), await share(texts.validation)];
  const description: SharedRun = {
    format: 'layerwise-shared-run',
    version: 1,
    tool: VERSION,
    numerics: await measureNumerics(),
    checkpoint: { files, ...(gguf === undefined ? {} : { gguf }) },
    hessian,
    texts: { ...(calibration ? { calibration } : {}), ...(validation ? { validation } : {}) },
    statistics,
  };
  const bytes = Buffer.from(JSON.stringify(description));
  const run = sha256(bytes);
  await store.putOnce(runKey(run), bytes);
  return run;
}
