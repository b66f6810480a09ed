// Resolves a model’s name on the Hub to a directory in the cache that openCheckpoint reads. An existing path always wins.
// If the Hub cannot be reached, a complete snapshot is used and a note says so; with HF_HUB_OFFLINE there are no network
// requests at all.

import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type OnProgress, RemoteError, silent } from '../base/index.js';
import { fileOf, folderOf, readRef, sizeOf, snapshotOf, writeRef } from './cache.js';
import { isTransient } from './errors.js';
import { checkRevision, parseModelName, type Reference } from './names.js';
import { findCommit, listModel } from './repo.js';
import { INDEX, SINGLE, selectFiles, selectShards, shardNames } from './select.js';
import { type HubSettings, readHubSettings } from './settings.js';
import { fetchFiles } from './snapshot.js';

export type ResolveOptions = {
  /** The branch, tag or commit to use where the name has none. Defaults to `main`. */
  readonly revision?: string;
  /** Receives the progress of the download. Defaults to none. */
  readonly onProgress?: OnProgress;
  /** Defaults to the settings of the environment. */
  readonly settings?: HubSettings;
};

/**
 * The directory of a checkpoint, from a path, `org/name` or `org/name@revision`. Anything else is returned unchanged;
 * opening it then reports the error.
 * @throws RemoteError E_REMOTE_…, OptionError E_OPTION_REVISION, CheckpointError E_CHECKPOINT_…, ResourceError E_RESOURCE_…
 */
export async function resolveModel(nameOrPath: string, options: ResolveOptions = {}): Promise<string> {
  if (await isThere(nameOrPath)) return nameOrPath;
  const parsed = parseModelName(nameOrPath);
  if (!parsed) return nameOrPath;
  const reference = options.revision ? { ...parsed, revision: checkRevision(options.revision) } : parsed;
  const { onProgress = silent, settings = readHubSettings() } = options;
  if (settings.offline) return await fromCache(settings, reference);
  try {
    return await fromHub(settings, reference, onProgress);
  } catch (error) {
    if (!isOutOfReach(error)) throw error;
    const dir = await fromCache(settings, reference).catch(() => {
      throw error;
    });
    onProgress({ kind: 'note', text: `${(error as Error).message} Using the snapshot in ${dir}.` });
    return dir;
  }
}

export const isThere = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );

export const isOutOfReach = (error: unknown): boolean =>
  isTransient(error) || (error instanceof RemoteError && error.code === 'E_REMOTE_UNREACHABLE');

async function fromHub(settings: HubSettings, reference: Reference, onProgress: OnProgress): Promise<string> {
  const { repo } = reference;
  onProgress({ kind: 'stage', stage: `asking ${new URL(settings.endpoint).host} for ${repo.name}` });
  const commit = await findCommit(settings, reference);
  const files = await listModel(settings, repo, commit);
  const { descriptions, weights } = selectFiles(files, repo);
  const fetch = (some: typeof files) => fetchFiles(settings, repo, commit, some, onProgress);
  if ('single' in weights) {
    await fetch([...descriptions, weights.single]);
  } else {
    await fetch([...descriptions, weights.index]);
    const index = await readFile(fileOf(settings, repo, commit, INDEX), 'utf8');
    await fetch(selectShards(index, files, repo));
  }
  await writeRef(settings, reference, commit);
  return snapshotOf(settings, repo, commit);
}

/** @throws RemoteError E_REMOTE_OFFLINE, with what the cache does not have */
async function fromCache(settings: HubSettings, reference: Reference): Promise<string> {
  const { repo, revision } = reference;
  const commit = await readRef(settings, reference);
  const dir = commit && snapshotOf(settings, repo, commit);
  const missing = dir ? await missingFiles(dir) : undefined;
  if (dir && missing?.length === 0) return dir;
  const what = missing
    ? `lacks ${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ` and ${missing.length - 3} more files` : ''} of it`
    : `does not have it${revision === 'main' ? '' : ` at ${revision}`}`;
  throw new RemoteError(
    'E_REMOTE_OFFLINE',
    `${repo.name}: HF_HUB_OFFLINE is set, and the cache ${folderOf(settings, repo)} ${what}. Run the command once without HF_HUB_OFFLINE, or pass a directory.`,
    { repo: repo.name, revision, missing: missing ?? null },
  );
}

/** What a snapshot lacks to be a complete checkpoint. */
async function missingFiles(dir: string): Promise<string[]> {
  const lacks = async (name: string): Promise<boolean> => (await sizeOf(join(dir, name))) === undefined;
  const missing = (await lacks('config.json')) ? ['config.json'] : [];
  if (!(await lacks(SINGLE))) return missing;
  const shards = shardNames(await readFile(join(dir, INDEX), 'utf8').catch(() => ''));
  if (!shards) return [...missing, SINGLE];
  for (const shard of shards) if (await lacks(shard)) missing.push(shard);
  return missing;
}
