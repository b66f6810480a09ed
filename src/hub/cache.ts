// The cache on disk in the layout of Hugging Face’s Python library, so that each finds what the other has fetched:
//   <cache>/models--org--name/refs/<revision>             the commit of the revision
//   <cache>/models--org--name/snapshots/<commit>/<file>   a link to the blob
//   <cache>/models--org--name/blobs/<etag>                the bytes, named by their digest
// Where links cannot be made, a snapshot holds the files themselves, as in that library. A snapshot is never wrong: files
// appear in it whole or not at all, and a revision is recorded after its files.

import { copyFile, mkdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { fileError, ResourceError, writeFileAtomic } from '../base/index.js';
import { checkFileName, type Reference, type Repo } from './names.js';
import { isCommit, type RepoFile } from './repo.js';
import type { HubSettings } from './settings.js';

const folderName = ({ type, name }: Repo): string => `${type}s--${name.replaceAll('/', '--')}`;

export const folderOf = (settings: HubSettings, repo: Repo): string => join(settings.cacheDir, folderName(repo));
export const lockOf = (settings: HubSettings, repo: Repo): string =>
  join(settings.cacheDir, '.locks', folderName(repo), 'layerwise.lock');
export const blobOf = (settings: HubSettings, repo: Repo, etag: string): string =>
  join(folderOf(settings, repo), 'blobs', etag);
export const snapshotOf = (settings: HubSettings, repo: Repo, commit: string): string =>
  join(folderOf(settings, repo), 'snapshots', commit);
export const fileOf = (settings: HubSettings, repo: Repo, commit: string, path: string): string =>
  join(snapshotOf(settings, repo, commit), ...checkFileName(path, repo).split('/'));

/** The Hub's name and commit of a snapshot's directory; undefined for any other directory. */
export function describeSnapshot(dir: string): { readonly name: string; readonly commit: string } | undefined {
  const commit = basename(dir);
  const [type, org, ...rest] = basename(dirname(dirname(dir))).split('--');
  if (!isCommit(commit) || basename(dirname(dir)) !== 'snapshots') return undefined;
  return type === 'models' && org && rest.length === 1 ? { name: `${org}/${rest[0]}`, commit } : undefined;
}

export async function sizeOf(path: string): Promise<number | undefined> {
  return await stat(path).then(
    (stats) => (stats.isFile() ? stats.size : undefined),
    () => undefined,
  );
}

/** Whether a file exists with the expected size. */
export const isCached = async (settings: HubSettings, repo: Repo, commit: string, file: RepoFile): Promise<boolean> =>
  (await sizeOf(fileOf(settings, repo, commit, file.path))) === file.size;

/** The last known commit of a revision; undefined where there is none. */
export async function readRef(settings: HubSettings, reference: Reference): Promise<string | undefined> {
  const { revision } = reference;
  const text = isCommit(revision) ? revision : await readFile(refOf(settings, reference), 'utf8').catch(() => '');
  return isCommit(text.trim()) ? text.trim() : undefined;
}

const refOf = (settings: HubSettings, { repo, revision }: Reference): string =>
  join(folderOf(settings, repo), 'refs', ...revision.split('/'));

/** Records the commit of a revision; does nothing if it is recorded, so that a cache may be read-only. */
export async function writeRef(settings: HubSettings, reference: Reference, commit: string): Promise<void> {
  if ((await readRef(settings, reference)) === commit) return;
  const path = refOf(settings, reference);
  await makeFolder(dirname(path));
  await writeFileAtomic(path, commit);
}

/** Makes a blob’s bytes appear in a snapshot. `fresh`: nothing else uses the blob, so it may be moved. */
export async function place(settings: HubSettings, blob: string, path: string, fresh: boolean): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  await makeFolder(dirname(path));
  try {
    const linked = settings.links && (await link(blob, temporary, dirname(path)));
    if (!linked && fresh) return await rename(blob, path);
    if (!linked) await copyFile(blob, temporary);
    await rename(temporary, path);
  } catch (error) {
    throw fileError(error, path);
  } finally {
    await rm(temporary, { force: true }).catch(() => {});
  }
}

/** Whether a link could be made; some systems have none, or only for some users. */
async function link(blob: string, path: string, from: string): Promise<boolean> {
  try {
    await rm(path, { force: true });
    await symlink(relative(from, blob), path);
    return true;
  } catch (error) {
    if (/^(EPERM|EACCES|ENOSYS|ENOTSUP|EOPNOTSUPP|EINVAL)$/.test((error as NodeJS.ErrnoException).code ?? ''))
      return false;
    throw error;
  }
}

export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((error) => {
    throw fileError(error, path);
  });
}

/** Turns a full disk into an error that names the target; other errors pass through. */
export function diskError(error: unknown, { cacheDir }: HubSettings, needed: number): unknown {
  const code = (error as { code?: unknown } | undefined)?.code;
  if (code !== 'ENOSPC' && code !== 'EDQUOT' && code !== 'E_RESOURCE_DISK_FULL') return fileError(error, cacheDir);
  return fullDisk(cacheDir, needed);
}

export const fullDisk = (cacheDir: string, needed: number, free?: number): ResourceError =>
  new ResourceError(
    'E_RESOURCE_DISK_FULL',
    `${cacheDir}: the download needs ${megabytes(needed)}${free === undefined ? ', which is more than is free' : `, ${megabytes(free)} are free`}. Free some space, or set HF_HOME to a folder on another disk.`,
    { path: cacheDir, needed, ...(free === undefined ? {} : { free }) },
  );

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`;
