// Uploads a folder to a model’s repository on the Hub through @huggingface/hub, in one commit that appears whole or not at
// all. Everything that can be checked beforehand (the name, the token and its owner, the repository’s visibility) is
// checked before the long work that leads to the upload. Large files are plain LFS uploads, not Xet, because that is what
// the tests run.

import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { CommitOperation } from '@huggingface/hub';
import { fileError, type OnProgress, OptionError, RemoteError, VERSION } from '../base/index.js';
import { hasStatus } from './errors.js';
import { STAND_IN } from './http.js';
import { isRepoName } from './names.js';
import { callOptions, checked, findCommit, isPrivate, listModel } from './repo.js';
import { type HubSettings, readHubSettings } from './settings.js';

export type PushTarget = {
  /** `org/name`. */
  readonly repo: string;
  /** Whether a new repository is private. Defaults to the default of its owner. */
  readonly private?: boolean;
};

export type PushResult = { readonly url: string; readonly commit: string };

/**
 * Checks that an upload can be expected to work: the name is legal, there is a token, and it may write there.
 * @throws OptionError E_OPTION_PUSH, E_OPTION_PRIVATE; RemoteError E_REMOTE_…
 */
export async function checkPush(target: PushTarget, settings: HubSettings = readHubSettings()): Promise<void> {
  const { repo } = target;
  const refuse = (message: string): OptionError =>
    new OptionError('E_OPTION_PUSH', message, { option: 'push', got: repo });
  if (!isRepoName(repo)) {
    throw refuse(
      `Expected a repository to upload to as org/name (letters, digits, "-", "_", "."), got ${JSON.stringify(repo)}.`,
    );
  }
  if (settings.offline) throw refuse(`${repo}: nothing can be uploaded while HF_HUB_OFFLINE is set. Unset it.`);
  if (settings.token === undefined) {
    throw refuse(`${repo}: an upload needs a token that may write. Set HF_TOKEN, or run hf auth login.`);
  }
  const { whoAmI } = await import('@huggingface/hub');
  const user = await checked(repo, () => whoAmI({ ...callOptions(settings, repo), accessToken: STAND_IN }));
  const [owner] = repo.split('/');
  const orgs = user.type === 'user' && Array.isArray(user.orgs) ? user.orgs : [];
  const org = orgs.find(({ name }) => name === owner) as { readonly roleInOrg?: unknown } | undefined;
  if (user.type === 'user' && user.name !== owner && !org) {
    const names = [user.name, ...orgs.map(({ name }) => name)].join(', ');
    throw refuse(`${repo}: the token belongs to ${user.name}, who cannot write to ${owner}; expected one of ${names}.`);
  }
  if (user.auth?.accessToken?.role === 'read' || org?.roleInOrg === 'read') {
    throw refuse(`${repo}: the token may only read. Make one that may write, at huggingface.co/settings/tokens.`);
  }
  if (target.private) await requirePrivate(settings, repo);
}

/** An existing repository keeps its visibility, so it must not be public where private is requested. */
async function requirePrivate(settings: HubSettings, repo: string): Promise<void> {
  const isPublic = await isPrivate(settings, repo).then(
    (hidden) => !hidden,
    (error) => {
      if (error instanceof RemoteError && error.code === 'E_REMOTE_NOT_FOUND') return false;
      throw error;
    },
  );
  if (!isPublic) return;
  throw new OptionError(
    'E_OPTION_PRIVATE',
    `--private: ${repo} exists and is public. Choose another name, or make it private on its page first.`,
    { option: 'private', got: repo },
  );
}

/**
 * Uploads every file of a folder (except names that begin with a dot), with `card` as README.md. The same commit removes
 * weights in the repository that the folder does not have, because loaders would read them as part of the model.
 * @throws OptionError E_OPTION_PUSH, E_OPTION_PRIVATE; RemoteError E_REMOTE_…; ResourceError E_RESOURCE_…
 */
export async function pushFolder(
  dir: string,
  target: PushTarget,
  card: string,
  onProgress: OnProgress,
  settings: HubSettings = readHubSettings(),
): Promise<PushResult> {
  const { repo } = target;
  const files = (await listFolder(dir)).filter((path) => path !== 'README.md');
  await checkPush(target, settings);
  await makeRepo(settings, target);
  const operations: CommitOperation[] = files.map((path) => ({
    operation: 'addOrUpdate',
    path,
    content: pathToFileURL(join(dir, path)),
  }));
  operations.push({ operation: 'addOrUpdate', path: 'README.md', content: new Blob([card]) });
  for (const path of await findStale(settings, repo, new Set(files))) {
    onProgress({ kind: 'note', text: `${repo}: ${path} is replaced by this upload` });
    operations.push({ operation: 'delete', path });
  }
  let total = 0;
  for (const path of files) total += (await stat(join(dir, path))).size;
  const { commitIter } = await import('@huggingface/hub');
  const commit = await checked(repo, async () => {
    const upload = commitIter({
      ...callOptions(settings, repo, (bytes) => onProgress({ kind: 'advance', by: bytes })),
      repo: { type: 'model', name: repo },
      title: `Upload by layerwise ${VERSION}`,
      operations,
      useXet: false,
    });
    onProgress({ kind: 'stage', stage: `hashing for ${repo}` });
    for (let sends = false; ; ) {
      const { done, value } = await upload.next();
      if (done) return value?.commit.oid ?? '';
      if (value.event !== 'fileProgress' || value.state !== 'uploading' || sends) continue;
      sends = true;
      onProgress({ kind: 'stage', stage: `uploading to ${repo}`, total, unit: 'bytes' });
    }
  });
  return { url: `${settings.endpoint}/${repo}`, commit };
}

async function makeRepo(settings: HubSettings, { repo, private: hidden }: PushTarget): Promise<void> {
  const { createRepo } = await import('@huggingface/hub');
  try {
    await checked(repo, () =>
      createRepo({
        ...callOptions(settings, repo),
        accessToken: STAND_IN,
        repo: { type: 'model', name: repo },
        ...(hidden ? { visibility: 'private' as const } : {}),
      }),
    );
  } catch (error) {
    if (!hasStatus(error, 409)) throw error; // 409: it exists already
    if (hidden) await requirePrivate(settings, repo);
  }
}

async function findStale(settings: HubSettings, repo: string, files: ReadonlySet<string>): Promise<string[]> {
  const reference = { repo: { type: 'model' as const, name: repo }, revision: 'main' };
  const there = await listModel(settings, reference.repo, await findCommit(settings, reference));
  return there
    .map(({ path }) => path)
    .filter(
      (path) => /\.safetensors(\.index\.json)?$|^pytorch_model.*\.(bin|index\.json)$/.test(path) && !files.has(path),
    );
}

/** Paths below a folder, with "/". @throws OptionError E_OPTION_PUSH for a link, whose target may be private */
async function listFolder(dir: string, folder = ''): Promise<string[]> {
  const here = join(dir, folder);
  let entries: Dirent[];
  try {
    entries = await readdir(here, { withFileTypes: true });
  } catch (error) {
    throw fileError(error, here);
  }
  const found: string[] = [];
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    const path = folder ? `${folder}/${entry.name}` : entry.name;
    if (entry.isDirectory()) found.push(...(await listFolder(dir, path)));
    else if (entry.isFile()) found.push(path);
    else {
      throw new OptionError(
        'E_OPTION_PUSH',
        `${join(dir, path)}: expected a file, got a link or something else. Remove it.`,
        {
          option: 'push',
          got: path,
        },
      );
    }
  }
  return found.sort();
}
