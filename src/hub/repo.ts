// Lists repositories through @huggingface/hub. The answers come from a server, so everything that is used of them is
// checked here. An etag names a file’s bytes: SHA-256 for LFS files, git’s SHA-1 for the others; it is also the name of the
// blob in the cache.

import { LayerwiseError, RemoteError } from '../base/index.js';
import { answerError } from './errors.js';
import { credentials, hubFetch } from './http.js';
import type { Reference, Repo } from './names.js';
import type { HubSettings } from './settings.js';

export type RepoFile = { readonly path: string; readonly size: number; readonly etag: string };

/** Most files of a repository that are listed. */
const MAX_FILES = 20_000;

const COMMIT = /^[0-9a-f]{40}$/;
export const isCommit = (text: string): boolean => COMMIT.test(text);

/** The arguments of every call of the package. */
export const callOptions = (settings: HubSettings, subject: string, onSent?: (bytes: number) => void) => ({
  hubUrl: settings.endpoint,
  fetch: hubFetch(settings, subject, onSent),
  ...credentials(settings),
});

/** The commit of a revision. @throws RemoteError E_REMOTE_… */
export async function findCommit(settings: HubSettings, { repo, revision }: Reference): Promise<string> {
  const subject = revision === 'main' ? repo.name : `${repo.name}@${revision}`;
  const { modelInfo, datasetInfo } = await import('@huggingface/hub');
  const options = { ...callOptions(settings, subject), name: repo.name, revision, additionalFields: ['sha' as const] };
  const info = await checked(subject, () => (repo.type === 'model' ? modelInfo(options) : datasetInfo(options)));
  if (typeof info.sha === 'string' && isCommit(info.sha)) return info.sha;
  throw answerError(subject, 'expected the commit of the revision, 40 hexadecimal digits');
}

/** Whether a model's repository is private; undefined where there is none. @throws RemoteError */
export async function isPrivate(settings: HubSettings, name: string): Promise<boolean> {
  const { modelInfo } = await import('@huggingface/hub');
  const info = await checked(name, () => modelInfo({ ...callOptions(settings, name), name, revision: 'main' }));
  return info.private !== false;
}

/** The files at the top of a model's repository. @throws RemoteError E_REMOTE_… */
export async function listModel(settings: HubSettings, repo: Repo, commit: string): Promise<RepoFile[]> {
  const { listFiles } = await import('@huggingface/hub');
  return await checked(repo.name, async () => {
    const files: RepoFile[] = [];
    let seen = 0;
    for await (const entry of listFiles({ ...callOptions(settings, repo.name), repo, revision: commit })) {
      if (++seen > MAX_FILES) break;
      const file = parseFile(entry);
      if (file) files.push(file);
    }
    return files;
  });
}

/** One file of a repository, by path. @throws RemoteError E_REMOTE_NOT_FOUND where it does not exist */
export async function findFile(settings: HubSettings, repo: Repo, commit: string, path: string): Promise<RepoFile> {
  const { pathsInfo } = await import('@huggingface/hub');
  const options = { ...callOptions(settings, repo.name), repo, revision: commit, paths: [path] };
  const found = (await checked(repo.name, () => pathsInfo(options))).map(parseFile).find((file) => file?.path === path);
  if (found) return found;
  throw new RemoteError(
    'E_REMOTE_NOT_FOUND',
    `${repo.name}: expected ${path} in it, got no such file; the data set has changed. Give a text file instead.`,
    { repo: repo.name, file: path },
  );
}

/** An entry of a listing as a file; undefined for a folder, or where there is too little information to check the file. */
function parseFile(entry: unknown): RepoFile | undefined {
  const { type, path, size, oid, lfs } = (entry ?? {}) as Readonly<Record<string, unknown>>;
  const large = (lfs ?? undefined) as Readonly<Record<string, unknown>> | undefined;
  const bytes = large?.size ?? size;
  const etag = large ? large.oid : oid;
  const named = typeof etag === 'string' && (large ? /^[0-9a-f]{64}$/ : COMMIT).test(etag);
  if (type !== 'file' || typeof path !== 'string' || !named) return undefined;
  return Number.isSafeInteger(bytes) && (bytes as number) >= 0 ? { path, size: bytes as number, etag } : undefined;
}

/** Calls the package; an answer that it cannot read becomes a RemoteError. */
export async function checked<T>(subject: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof LayerwiseError) throw error;
    throw answerError(subject, `the answer breaks the Hub's protocol (${(error as Error).message})`, error);
  }
}
