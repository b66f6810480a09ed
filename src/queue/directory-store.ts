// A store in a directory, on this machine or on a file server that all machines mount. A file is written under a temporary name
// and linked to its own: link(2) fails where there is one already, on NFS too, which rename(2) does not. So of two writers the
// first wins, and the file of the other goes.

import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, link, mkdir, open, readFile, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileError, OptionError, ResourceError, syncDirectory, withTemporary } from '../base/index.js';
import { checkKey, type Store } from './store.js';

const errnoOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

/** Opens a store in `path`, which is made if its parent is there. @throws OptionError E_OPTION_STORE, ResourceError */
export async function openDirectoryStore(path: string): Promise<Store> {
  const root = resolve(path);
  await mkdir(root).catch(async (error) => {
    if (errnoOf(error) !== 'EEXIST') throw fileError(error, root);
    if ((await stat(root)).isDirectory()) return;
    throw new OptionError(
      'E_OPTION_STORE',
      `--store: expected a directory or s3://bucket/prefix, got the file ${path}.`,
      {
        option: 'store',
        got: path,
      },
    );
  });
  const at = (key: string): string => join(root, ...checkKey(key).split('/'));
  /** Lets `fill` write a temporary file and gives it its name, unless that is taken. */
  const writeOnce = async (key: string, fill: (temporary: string) => Promise<void>): Promise<'put' | 'there'> => {
    const file = at(key);
    const dir = dirname(file);
    try {
      await mkdir(dir, { recursive: true });
      if (await isThere(file)) return 'there';
      await withTemporary(join(dir, `${randomBytes(8).toString('hex')}.tmp`), async (temporary) => {
        await fill(temporary);
        await link(temporary, file);
        await rm(temporary, { force: true }).catch(() => {});
        await syncDirectory(dir);
      });
      return 'put';
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return 'there';
      if (['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(errnoOf(error) ?? '')) throw noLinks(root, error);
      throw fileError(error, file);
    }
  };
  return {
    name: root,
    get: async (key) => {
      const file = at(key);
      try {
        return await readFile(file);
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return undefined;
        throw fileError(error, file);
      }
    },
    putOnce: (key, bytes) =>
      writeOnce(key, async (temporary) => {
        const handle = await open(temporary, 'wx');
        try {
          await handle.writeFile(bytes);
          await handle.sync();
        } finally {
          await handle.close();
        }
      }),
    putFileOnce: (key, path) =>
      writeOnce(key, async (temporary) => {
        await copyFile(path, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
        const handle = await open(temporary, 'r+');
        await handle.sync().finally(() => handle.close());
      }),
    fetchFile: async (key, path) => {
      const file = at(key);
      if (!(await isThere(file))) {
        throw new ResourceError('E_RESOURCE_NOT_FOUND', `${file}: the store has no such file; start the run again.`, {
          path: file,
        });
      }
      await symlink(file, path).catch((error) => {
        throw fileError(error, path);
      });
    },
    remove: async (key) => {
      const file = at(key);
      await rm(file, { force: true }).catch((error) => {
        throw fileError(error, file);
      });
    },
    close: async () => {},
  };
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error) => {
      if (errnoOf(error) === 'ENOENT') return false;
      throw fileError(error, path);
    },
  );

function noLinks(root: string, cause: unknown): ResourceError {
  const errno = errnoOf(cause);
  return new ResourceError(
    'E_RESOURCE_STORE',
    `${root}: the store could not be written (${errno}): it needs permission to write, and a file system with hard links, such as a local disk or NFS. Choose another --store.`,
    { path: root, errno },
    { cause },
  );
}
