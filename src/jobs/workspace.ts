// The folder beside the output where a run keeps what it has finished: `<out>.partial`. It says what the run is (so
// that only the same command continues it), holds a record per finished step, and becomes the output by one rename.

import { createHash } from 'node:crypto';
import { access, constants, mkdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileError, OptionError, ResourceError, requireAbsent, syncDirectory, writeFileAtomic } from '../base/index.js';

export type Workspace = {
  readonly path: string;
  /** The step's result from an earlier attempt, or `make`'s, which is then kept. */
  step<T>(name: string, make: () => Promise<T>): Promise<T>;
  /** Path of something inside. */
  at(...parts: readonly string[]): string;
  /** Moves the folder `final` to the output and removes the rest. */
  finish(): Promise<void>;
};

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Checks that `out` can be written, before anything is read. @throws OptionError E_OPTION_OUT…, ResourceError */
export async function checkOut(out: string, resume: boolean): Promise<void> {
  const parent = dirname(resolve(out));
  await requireAbsent(out);
  const info = await stat(parent).catch((error) => {
    throw fileError(error, parent);
  });
  if (!info.isDirectory()) {
    throw new OptionError('E_OPTION_OUT', `--out: ${parent} is not a directory.`, { option: 'out', got: out });
  }
  await access(parent, constants.W_OK).catch((error) => {
    throw fileError(error, parent);
  });
  const partial = `${resolve(out)}.partial`;
  if (!resume && (await isThere(partial))) {
    throw new OptionError(
      'E_OPTION_OUT_PARTIAL',
      `--out: ${out}.partial holds an interrupted run; add --resume to continue it, or remove it to start anew.`,
      { option: 'out', got: out },
    );
  }
}

/** @throws ResourceError E_RESOURCE_DISK_FULL where the disk has less than `bytes` free. */
export async function checkSpace(out: string, bytes: number): Promise<void> {
  const parent = dirname(resolve(out));
  const { bavail, bsize } = await statfs(parent);
  const free = bavail * bsize;
  if (free >= bytes) return;
  const megabytes = (n: number): string => `${Math.ceil(n / 1e6)} MB`;
  throw new ResourceError(
    'E_RESOURCE_DISK_FULL',
    `${parent}: the run needs up to ${megabytes(bytes)} (the output and unfinished trials), ${megabytes(free)} are free. Free some space or choose another --out.`,
    { path: parent, needed: bytes, free },
  );
}

/**
 * Opens the workspace of `out` for the run that `identity` describes (everything its result depends on).
 * @throws OptionError E_OPTION_RESUME where an interrupted run there is another one
 */
export async function openWorkspace(out: string, identity: unknown): Promise<Workspace> {
  const path = `${resolve(out)}.partial`;
  const at = (...parts: readonly string[]): string => join(path, ...parts);
  const fingerprint = createHash('sha256').update(JSON.stringify(identity)).digest('hex');
  await mkdir(at('steps'), { recursive: true }).catch((error) => {
    throw fileError(error, path);
  });
  const marker = at('run.json');
  if (await isThere(marker)) {
    const found: unknown = await readFile(marker, 'utf8')
      .then(JSON.parse)
      .catch(() => undefined);
    if ((found as { fingerprint?: unknown } | undefined)?.fingerprint !== fingerprint) {
      throw new OptionError(
        'E_OPTION_RESUME',
        `--resume: ${path} was begun by another command, or from other files. Repeat that command, or remove the folder to start anew.`,
        { option: 'resume', path },
      );
    }
  } else {
    await writeFileAtomic(marker, `${JSON.stringify({ fingerprint, identity }, null, 2)}\n`);
  }
  const step = async <T>(name: string, make: () => Promise<T>): Promise<T> => {
    const file = at('steps', `${name}.json`);
    if (await isThere(file)) return JSON.parse(await readFile(file, 'utf8')) as T;
    const result = await make();
    await writeFileAtomic(file, JSON.stringify(result));
    return result;
  };
  const finish = async (): Promise<void> => {
    try {
      await rename(at('final'), resolve(out));
    } catch (error) {
      throw fileError(error, out);
    }
    await syncDirectory(dirname(resolve(out)));
    await rm(path, { recursive: true, force: true });
  };
  return { path, step, at, finish };
}
