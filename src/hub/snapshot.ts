// Fetches the missing files of one commit into the cache: four at a time, one process at a time.

import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LayerwiseError, type OnProgress, takeLock } from '../base/index.js';
import { blobOf, fileOf, fullDisk, isCached, lockOf, makeFolder, place, sizeOf } from './cache.js';
import { downloadBlob } from './download.js';
import type { Repo } from './names.js';
import type { RepoFile } from './repo.js';
import type { HubSettings } from './settings.js';

const LANES = 4;
/** Milliseconds between two attempts at a lock that another process holds. */
const PATIENCE = 500;
/** Bytes between two progress events. */
const STRIDE = 1 << 20;

/** Makes `files` appear in the commit's snapshot. @throws RemoteError E_REMOTE_…, ResourceError E_RESOURCE_… */
export async function fetchFiles(
  settings: HubSettings,
  repo: Repo,
  commit: string,
  files: readonly RepoFile[],
  onProgress: OnProgress,
): Promise<void> {
  const missing = async (): Promise<RepoFile[]> => {
    const cached = await Promise.all(files.map((file) => isCached(settings, repo, commit, file)));
    return files.filter((_, i) => !cached[i]);
  };
  if ((await missing()).length === 0) return; // a cache that is complete may be read-only
  const unlock = await waitForLock(lockOf(settings, repo), repo, onProgress);
  try {
    await fetchMissing(settings, repo, commit, await missing(), onProgress);
  } finally {
    await unlock();
  }
}

async function fetchMissing(
  settings: HubSettings,
  repo: Repo,
  commit: string,
  files: readonly RepoFile[],
  onProgress: OnProgress,
): Promise<void> {
  // Files with the same bytes share a blob.
  const blobs = new Map<string, RepoFile[]>();
  for (const file of files) blobs.set(file.etag, [...(blobs.get(file.etag) ?? []), file]);
  const wanted: RepoFile[] = [];
  for (const [etag, [file]] of blobs) {
    if ((await sizeOf(blobOf(settings, repo, etag))) !== file!.size) wanted.push(file!);
  }
  const total = wanted.reduce((sum, { size }) => sum + size, 0);
  await checkSpace(settings, repo, wanted);
  if (total > 0) onProgress({ kind: 'stage', stage: `downloading ${repo.name}`, total, unit: 'bytes' });
  const fresh = new Set(wanted.map(({ etag }) => etag));
  let untold = 0;
  const onBytes = (bytes: number): void => {
    untold += bytes;
    if (Math.abs(untold) < STRIDE) return;
    onProgress({ kind: 'advance', by: untold });
    untold = 0;
  };
  const queue = [...blobs];
  const stop = new AbortController();
  const lane = async (): Promise<void> => {
    for (let next = queue.shift(); next && !stop.signal.aborted; next = queue.shift()) {
      const [etag, [first, ...others]] = next;
      const paths = [first!, ...others].map(({ path }) => fileOf(settings, repo, commit, path));
      if (fresh.has(etag)) await downloadBlob(settings, repo, commit, first!, onBytes, stop.signal);
      for (const path of paths) {
        await place(settings, blobOf(settings, repo, etag), path, fresh.has(etag) && paths.length === 1);
      }
    }
  };
  const failures: unknown[] = [];
  const stopAll = (error: unknown): void => {
    failures.push(error);
    stop.abort();
  };
  await Promise.all(Array.from({ length: LANES }, () => lane().catch(stopAll)));
  if (failures.length > 0) throw failures[0]; // later ones come from stopping the other downloads
}

/** Counts the bytes that an earlier attempt left. */
async function checkSpace(settings: HubSettings, repo: Repo, files: readonly RepoFile[]): Promise<void> {
  let needed = 0;
  for (const { etag, size } of files) {
    needed += size - Math.min(size, (await sizeOf(`${blobOf(settings, repo, etag)}.layerwise.incomplete`)) ?? 0);
  }
  await makeFolder(settings.cacheDir);
  const { bavail, bsize } = await statfs(settings.cacheDir);
  if (bavail * bsize < needed) throw fullDisk(settings.cacheDir, needed, bavail * bsize);
}

async function waitForLock(path: string, repo: Repo, onProgress: OnProgress): Promise<() => Promise<void>> {
  await makeFolder(dirname(path));
  for (let told = false; ; ) {
    try {
      return await takeLock(path);
    } catch (error) {
      if (!(error instanceof LayerwiseError) || error.code !== 'E_RESOURCE_LOCKED') throw error;
      if (!told) onProgress({ kind: 'note', text: `${repo.name}: another process is downloading it; waiting.` });
      told = true;
      await sleep(PATIENCE);
    }
  }
}
