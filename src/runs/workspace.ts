// The folder `<out>.partial`, where a run keeps its finished work. It identifies the run, so only the same command continues
// it; it stores a record per finished step; and one rename turns it into the output. Only one process at a time uses it
// (base/lock.ts). A record contains its own digest, and a damaged one is made again.

import {
  access,
  constants,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  statfs,
} from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import {
  digestOf,
  fileError,
  OptionError,
  ResourceError,
  requireAbsent,
  sha256,
  syncDirectory,
  takeLock,
  writeFileAtomic,
} from '../base/index.js';

export type Workspace = {
  readonly path: string;
  /** The step's result from an earlier attempt, else that of `make`, which is then stored. */
  step<T>(name: string, make: () => Promise<T>): Promise<T>;
  /** A path inside the folder. */
  at(...parts: readonly string[]): string;
  /** Moves the folder `final` to the output and removes the rest. */
  finish(): Promise<void>;
  /** Removes the workspace of a run whose output is complete. */
  clear(): Promise<void>;
  /** Releases the lock, so that another process can continue the run. */
  close(): Promise<void>;
};

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const partialOf = (out: string): string => `${resolve(out)}.partial`;

/** Whether a run was killed between making the output and removing the workspace. */
export async function isOnlyToBeCleared(out: string): Promise<boolean> {
  const partial = partialOf(out);
  return (
    (await isThere(resolve(out))) && (await isThere(join(partial, MARKER))) && !(await isThere(join(partial, FINAL)))
  );
}

/**
 * Checks that `out`, the value of `option`, can be written, before anything is read or downloaded.
 * @throws OptionError E_OPTION_OUT…, ResourceError
 */
export async function checkOutPath(out: string, option = 'out'): Promise<void> {
  const parent = dirname(resolve(out));
  await requireAbsent(resolve(out), option);
  const info = await stat(parent).catch((error) => {
    throw fileError(error, parent);
  });
  if (!info.isDirectory()) {
    throw new OptionError('E_OPTION_OUT', `--${option}: ${parent} is not a directory.`, { option, got: out });
  }
  await access(parent, constants.W_OK).catch((error) => {
    throw fileError(error, parent);
  });
}

/** Like `checkOutPath`; also checks that no interrupted run is in the way. @throws also OptionError E_OPTION_OUT_PARTIAL */
export async function checkOut(out: string, resume: boolean): Promise<void> {
  await checkOutPath(out);
  if (resume || !(await isThere(partialOf(out)))) return;
  throw new OptionError(
    'E_OPTION_OUT_PARTIAL',
    `--out: ${out}.partial holds an interrupted run; add --resume to continue it, or remove the folder to start over.`,
    { option: 'out', got: out },
  );
}

/** @throws OptionError E_OPTION_OUT if `out` is inside `source`, the checkpoint */
export async function checkOutside(out: string, source: string, option = 'out'): Promise<void> {
  const parent = dirname(resolve(out));
  if (!`${await realpath(parent)}${sep}`.startsWith(`${await realpath(source)}${sep}`)) return;
  throw new OptionError('E_OPTION_OUT', `--${option}: ${out} is inside the checkpoint itself; choose another path.`, {
    option,
    got: out,
  });
}

/** @throws ResourceError E_RESOURCE_DISK_FULL if the disk of `out` has less than `bytes` free for `what` */
export async function checkSpace(
  out: string,
  bytes: number,
  what = 'the run (the output and unfinished trials) needs up to',
  option = 'out',
): Promise<void> {
  const parent = dirname(resolve(out));
  const { bavail, bsize } = await statfs(parent);
  const free = bavail * bsize;
  if (free >= bytes) return;
  const megabytes = (n: number): string => `${Math.ceil(n / 1e6)} MB`;
  throw new ResourceError(
    'E_RESOURCE_DISK_FULL',
    `${parent}: ${what} ${megabytes(bytes)}, ${Math.floor(free / 1e6)} MB are free. Free some space or choose another --${option}.`,
    { path: parent, needed: bytes, free },
  );
}

const MARKER = 'run.json';
const FINAL = 'final';
const LOCK = 'lock';

/**
 * Opens the workspace of `out` for the run that `identity` describes (everything that determines its result).
 * @throws OptionError E_OPTION_RESUME if it belongs to another run; ResourceError E_RESOURCE_LOCKED if a process uses it
 */
export async function openWorkspace(out: string, identity: unknown): Promise<Workspace> {
  const path = partialOf(out);
  const at = (...parts: readonly string[]): string => join(path, ...parts);
  let unlock: () => Promise<void>;
  try {
    await mkdir(path, { recursive: true });
    unlock = await takeLock(at(LOCK));
  } catch (error) {
    await rmdir(path).catch(() => {}); // goes only if it is empty, so not where another process is at work
    throw fileError(error, path);
  }
  try {
    await claim(path, at(MARKER), identity);
    await removeTemporaries(path);
    await mkdir(at('steps'), { recursive: true });
  } catch (error) {
    await unlock();
    await rmdir(path).catch(() => {});
    throw fileError(error, path);
  }
  const clear = async (): Promise<void> => {
    // Remove the mark of the run last: until then the same command can clear the folder.
    for (const name of await readdir(path)) {
      if (name !== MARKER && name !== LOCK) await rm(at(name), { recursive: true, force: true });
    }
    await rm(at(MARKER), { force: true });
    await unlock();
    await rm(path, { recursive: true, force: true });
  };
  const finish = async (): Promise<void> => {
    try {
      await rename(at(FINAL), resolve(out));
    } catch (error) {
      throw fileError(error, out);
    }
    await syncDirectory(dirname(resolve(out)));
    await clear();
  };
  /** Steps that are asked for twice at once are written once. */
  const writing = new Map<string, Promise<void>>();
  const step = async <T>(name: string, make: () => Promise<T>): Promise<T> => {
    const file = at('steps', `${name}.json`);
    const kept = await readFile(file, 'utf8').then(parseStep, () => undefined);
    if (kept) return kept.result as T;
    const result = await make();
    const text = JSON.stringify(result);
    const write =
      writing.get(file) ?? writeFileAtomic(file, `${sha256(text)}\n${text}`).finally(() => writing.delete(file));
    writing.set(file, write);
    await write;
    return result;
  };
  return { path, step, at, finish, clear, close: unlock };
}

/** Marks the workspace with `identity`, or checks the mark. */
async function claim(path: string, marker: string, identity: unknown): Promise<void> {
  const fingerprint = digestOf(identity);
  if (!(await isThere(marker))) {
    await writeFileAtomic(marker, `${JSON.stringify({ fingerprint, identity }, null, 2)}\n`);
    return;
  }
  const found: unknown = await readFile(marker, 'utf8')
    .then(JSON.parse)
    .catch(() => undefined);
  if ((found as { fingerprint?: unknown } | undefined)?.fingerprint === fingerprint) return;
  throw new OptionError(
    'E_OPTION_RESUME',
    `--resume: ${path} was started by another command or with other files. Repeat that command, or remove the folder to start over.`,
    { option: 'resume', path },
  );
}

/** Removes files that a killed process was still writing. */
async function removeTemporaries(path: string): Promise<void> {
  for (const entry of await readdir(path, { withFileTypes: true, recursive: true })) {
    if (entry.isFile() && entry.name.endsWith('.tmp')) await rm(join(entry.parentPath, entry.name), { force: true });
  }
}

/** A step's result from its file: digest, line break, result in JSON. Undefined if the file is damaged. */
function parseStep(file: string): { readonly result: unknown } | undefined {
  const text = file.slice(65);
  return file.slice(0, 65) === `${sha256(text)}\n` ? { result: JSON.parse(text) } : undefined;
}
