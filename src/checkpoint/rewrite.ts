// Writing a part of a checkpoint under new names. The shards and the order in them stay; a shard that loses all its tensors
// is left out, and an index is written to match. One tensor is held at a time.

import { join } from 'node:path';
import { writeFileAtomic } from '../base/index.js';
import { formatIndex } from './index-file.js';
import { type Checkpoint, INDEX } from './open.js';
import { readTensor } from './read.js';
import { copyWhole, requireEmpty, requireUnchanged, syncFolders, writeSafetensors } from './write.js';

/**
 * Writes into the existing, empty directory `outDir` the tensors of `source` to which `rename` gives a name, and all other
 * files byte for byte, but those in `contents` with the text given there. All files are flushed to the disk; making the
 * directory appear at once is the caller's rename.
 *
 * @throws OptionError E_OPTION_OUT when `outDir` is not an empty directory
 * @throws CheckpointError E_CHECKPOINT_CHANGED when a source file is no longer what was opened
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
