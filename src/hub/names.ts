// Names on the Hub: `org/name` and `org/name@revision`, by the rules of Hugging Face’s Python library. File names come from
// a server, so only names that stay inside a folder on every system are allowed.

import { OptionError, RemoteError } from '../base/index.js';

export type Repo = { readonly type: 'model' | 'dataset'; readonly name: string };
export type Reference = { readonly repo: Repo; readonly revision: string };

const PART = /^[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?$/;
const MAX_NAME = 96;

/** Whether `name` is a legal repository name: two parts of letters, digits, `-`, `_`, `.`. */
export function isRepoName(name: string): boolean {
  const parts = name.split('/');
  return (
    parts.length === 2 &&
    parts.every((part) => PART.test(part)) &&
    name.length <= MAX_NAME &&
    !/--|\.\./.test(name) &&
    !name.endsWith('.git')
  );
}

/** `org/name` or `org/name@revision` as a model's reference; undefined for anything else, such as a path. */
export function parseModelName(text: string): Reference | undefined {
  const at = text.indexOf('@');
  const name = at < 0 ? text : text.slice(0, at);
  if (!isRepoName(name)) return undefined;
  return { repo: { type: 'model', name }, revision: at < 0 ? 'main' : checkRevision(text.slice(at + 1)) };
}

/**
 * Checks a branch, a tag, a commit, or `refs/pr/1`, which becomes a path in the cache. @throws OptionError
 * E_OPTION_REVISION
 */
export function checkRevision(revision: string): string {
  const legal = revision.length <= 200 && revision.split('/').every((part) => /^\w[\w.-]*$/.test(part));
  if (legal && !revision.includes('..') && !revision.endsWith('.lock')) return revision;
  throw new OptionError(
    'E_OPTION_REVISION',
    `Expected a branch, a tag or a commit after @, such as main or refs/pr/1, got ${JSON.stringify(revision)}.`,
    { option: 'revision', got: revision },
  );
}

/** @throws RemoteError E_REMOTE_ANSWER for a name that could lead out of the folder it is joined to */
export function checkFileName(name: string, repo: Repo): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not get through
  const isPlain = (part: string): boolean => part !== '' && !/^\.\.?$|[\\:\u0000-\u001f]/.test(part);
  if (name.length <= 500 && name.split('/').every(isPlain)) return name;
  throw new RemoteError(
    'E_REMOTE_ANSWER',
    `${repo.name}: the server names a file ${JSON.stringify(name.slice(0, 80))}, which could lead out of the cache; nothing was written. Use another repository.`,
    { repo: repo.name, file: name },
  );
}
