// Writes part of a checkpoint under new names. Shards and their order stay; a shard that loses all its tensors is left out,
// and a matching index is written. One tensor is held at a time.

import { join } from 'node:path';
import { writeFileAtomic } from '../base/index.js';
import { formatIndex } from './index-file.js';
import { type Checkpoint, INDEX } from './open.js';
import { readTensor } from './read.js';
import { copyWhole, requireEmpty, requireUnchanged, syncFolders, writeSafetensors } from './write.js';

/**
 * Writes the tensors that `rename` gives a name into the existing, empty directory `outDir`, and copies all other files
 * byte for byte, except those in `contents`, which get the text given there. All files are flushed to the disk; the caller
 * renames the directory into place.
 *
 * @throws OptionError E_OPTION_OUT when `outDir` is not an empty directory
 * @throws CheckpointError E_CHECKPOINT_CHANGED when a source file has changed since it was opened
 * @throws InternalError E_INTERNAL_TENSOR where two tensors get one name
 * @throws ResourceError E_RESOURCE_…
 */
export async function writeRenamed(
  source: Checkpoint,
  outDir: string,
  rename: (name: string) => string | undefined,
  contents: Readonly<Record<string, string>>,
): Promise<void> {
  await requireEmpty(outDir);
  for (const shard of source.shards) {
    const own = [...source.tensors.values()].filter(({ file }) => file === shard);
    const { metadata } = await requireUnchanged(join(source.dir, shard), own);
    const kept = own.flatMap(({ name, dtype, shape }) => {
      const renamed = rename(name);
      return renamed === undefined ? [] : [{ name: renamed, dtype, shape, read: () => readTensor(source, name) }];
    });
    const said = Object.keys(metadata).length > 0 ? metadata : undefined;
    if (kept.length > 0) await writeSafetensors(join(outDir, shard), kept, said);
  }
  for (const file of source.files) {
    const content =
      file === INDEX
        ? await formatIndex(source, ({ name, length, shape }) => {
            const renamed = rename(name);
            return renamed === undefined ? undefined : { name: renamed, length, shape };
          })
        : contents[file];
    if (content === undefined) await copyWhole(join(source.dir, file), join(outDir, file));
    else await writeFileAtomic(join(outDir, file), content);
  }
  await syncFolders(outDir, source.files);
}
