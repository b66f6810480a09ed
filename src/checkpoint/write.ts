// Writing. A safetensors file of our own appears whole or not at all. A checkpoint is written after its source: the same
// shards, and where no edit changes a shape or a dtype or removes a tensor, the source's headers verbatim, so that order,
// offsets and metadata stay and tied weights stay tied. Nothing larger than one edited tensor is held.

import { type FileHandle, mkdir, open, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  CheckpointError,
  fileError,
  InternalError,
  OptionError,
  syncDirectory,
  writeAtomically,
  writeFileAtomic,
} from '../base/index.js';
import { bytesPerElement, type DType, elementCount } from '../tensor/index.js';
import { formatIndex, type Outline } from './index-file.js';
import { copyRange, withFile, writeFully } from './io.js';
import { show } from './json.js';
import { type Checkpoint, INDEX } from './open.js';
import { readTensor } from './read.js';
import { MAX_HEADER, readSafetensors, type SafetensorsFile, type TensorInfo } from './safetensors.js';

/** A tensor to write. `read` is called once, when its turn comes, and must return exactly the bytes of dtype and shape. */
export type TensorToWrite = {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  read(): Promise<Uint8Array>;
};

/** A tensor that is too large to hold at once: its bytes come in slabs, in order. */
export type TensorInSlabs = Omit<TensorToWrite, 'read'> & { slabs(): AsyncIterable<Uint8Array> };

/** What becomes of a tensor: another content, which may have another dtype and shape, or none. */
export type TensorEdit = TensorToWrite | { readonly name: string; readonly remove: true };

/**
 * Writes a safetensors file, one tensor or slab at a time in the order given, under a temporary name beside `path`, and renames it
 * when it is complete.
 *
 * @throws InternalError E_INTERNAL_TENSOR for a name given twice or reserved, and for bytes that do not fit dtype and
 * shape
 * @throws ResourceError E_RESOURCE_…
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly (TensorToWrite | TensorInSlabs)[],
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  const header = formatHeader(path, tensors, metadata);
  await writeAtomically(path, async (handle) => {
    await writeFully(handle, header);
    for (const tensor of tensors) {
      let written = 0;
      for await (const bytes of 'slabs' in tensor ? tensor.slabs() : [tensor.read()]) {
        await writeFully(handle, bytes);
        written += bytes.length;
      }
      checkLength(path, tensor.name, byteLength(tensor), written);
    }
  });
}

type Sized = Omit<TensorToWrite, 'read'>;

const byteLength = (tensor: Sized): number => elementCount(tensor.shape) * bytesPerElement(tensor.dtype);

function formatHeader(
  path: string,
  tensors: readonly Sized[],
  metadata: Readonly<Record<string, string>> | undefined,
): Uint8Array {
  const names = new Set(['__metadata__', '__proto__']);
  const entries = metadata ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  let begin = 0;
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    if (names.has(name)) throw internal(path, name, 'distinct names that are not reserved', 'this name again');
    names.add(name);
    const end = begin + byteLength(tensor);
    entries.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
    begin = end;
  }
  const json = Buffer.from(`{${entries.join(',')}}`);
  const length = Math.ceil(json.length / 8) * 8; // so that the data starts at a multiple of 8
  if (length > MAX_HEADER) throw internal(path, '__metadata__', `a header up to ${MAX_HEADER} bytes`, `${length}`);
  const header = Buffer.alloc(8 + length, ' ');
  header.writeBigUInt64LE(BigInt(length));
  json.copy(header, 8);
  return header;
}

/**
 * Writes a checkpoint like `source` into the existing, empty directory `outDir`: the same shards, with the tensors that
 * `edit` gives in place of the source's, and `source.files` byte for byte (but an index that would no longer be true).
 * `edit` is asked once per tensor, in the order of `source.tensors`; undefined keeps the source's bytes. All files are
 * flushed to the disk; making the directory appear at once is the caller's rename.
 *
 * @throws OptionError E_OPTION_OUT when `outDir` is not an empty directory
 * @throws CheckpointError E_CHECKPOINT_CHANGED when a source file is no longer what was opened
 * @throws InternalError E_INTERNAL_TENSOR for bytes that do not fit an edit's dtype and shape, and for an edit of another name
 * @throws ResourceError E_RESOURCE_…
 */
export async function writeCheckpoint(
  source: Checkpoint,
  outDir: string,
  edit: (name: string) => TensorEdit | undefined,
): Promise<void> {
  await requireEmpty(outDir);
  const edits = new Map([...source.tensors.keys()].map((name) => [name, edit(name)]));
  for (const [name, made] of edits) {
    if (made && made.name !== name) throw internal(source.dir, name, 'an edit of it', `one of ${show(made.name)}`);
  }
  for (const shard of source.shards) await writeShard(source, shard, outDir, edits);
  const keeps = [...source.tensors.values()].every((tensor) => keepsOutline(tensor, edits.get(tensor.name)));
  for (const file of source.files) {
    const target = join(outDir, file);
    if (file !== INDEX || keeps) await copyWhole(join(source.dir, file), target);
    else {
      const index = await formatIndex(source, (tensor) => outlinesOf(tensor, edits.get(tensor.name)));
      await writeFileAtomic(target, index);
    }
  }
  await syncFolders(outDir, source.files);
}

type Edits = ReadonlyMap<string, TensorEdit | undefined>;

const keepsOutline = ({ dtype, shape }: TensorInfo, edit: TensorEdit | undefined): boolean =>
  edit === undefined || (!('remove' in edit) && edit.dtype === dtype && String(edit.shape) === String(shape));

/** What an index says of a tensor after an edit; nothing where it is gone. */
function outlinesOf(tensor: TensorInfo, edit: TensorEdit | undefined): readonly Outline[] {
  if (edit === undefined) return [tensor];
  return 'remove' in edit ? [] : [{ name: tensor.name, length: byteLength(edit), shape: edit.shape }];
}

/** Flushes `dir` and the folders below it in which `files` lie. */
export async function syncFolders(dir: string, files: readonly string[]): Promise<void> {
  const folders = new Set([dir]);
  for (const file of files) {
    let folder = dirname(join(dir, file));
    for (; !folders.has(folder) && folder.length > dir.length; folder = dirname(folder)) folders.add(folder);
  }
  for (const folder of folders) await syncDirectory(folder);
}

async function writeShard(source: Checkpoint, shard: string, outDir: string, edits: Edits): Promise<void> {
  const path = join(source.dir, shard);
  const target = join(outDir, shard);
  const tensors = [...source.tensors.values()].filter((tensor) => tensor.file === shard);
  const { metadata } = await requireUnchanged(path, tensors);
  if (!tensors.every((tensor) => keepsOutline(tensor, edits.get(tensor.name)))) {
    const kept = tensors.flatMap((tensor): TensorToWrite[] => {
      const { name, dtype, shape } = tensor;
      const edit = edits.get(name) ?? { name, dtype, shape, read: () => readTensor(source, name) };
      return 'remove' in edit ? [] : [edit];
    });
    // A shard that loses all its tensors is left out.
    if (kept.length > 0) await writeSafetensors(target, kept, Object.keys(metadata).length > 0 ? metadata : undefined);
    return;
  }
  await withFile(path, (from) =>
    writeNew(target, async (to) => {
      let copied = 0; // source bytes before this offset are written
      let end = tensors[0]!.offset;
      for (const tensor of tensors) {
        end = tensor.offset + tensor.length;
        const edit = edits.get(tensor.name);
        if (!edit || 'remove' in edit) continue;
        const bytes = await edit.read();
        checkLength(target, tensor.name, tensor.length, bytes.length);
        await copyRange(from, to, copied, tensor.offset - copied, path);
        await writeFully(to, bytes);
        copied = end;
      }
      await copyRange(from, to, copied, end - copied, path);
    }),
  );
}

/** Opens the file again. @throws CheckpointError E_CHECKPOINT_CHANGED where its tensors are not `tensors` */
export async function requireUnchanged(path: string, tensors: readonly TensorInfo[]): Promise<SafetensorsFile> {
  const now = await readSafetensors(path);
  if (JSON.stringify([...now.tensors.values()]) === JSON.stringify(tensors)) return now;
  const message = `${path}: the header changed since the checkpoint was opened; do not change a checkpoint during a run.`;
  throw new CheckpointError('E_CHECKPOINT_CHANGED', message, { file: path });
}

/** Copies a file to a new path and creates the folders above it. */
export async function copyWhole(path: string, target: string): Promise<void> {
  try {
    await mkdir(dirname(target), { recursive: true });
  } catch (error) {
    throw fileError(error, target);
  }
  await withFile(path, async (from) => {
    const { size } = await from.stat();
    await writeNew(target, (to) => copyRange(from, to, 0, size, path));
  });
}

/** Creates `path`, calls `write`, flushes, closes. */
async function writeNew(path: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  try {
    const handle = await open(path, 'wx');
    try {
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError(error, path);
  }
}

/** @throws OptionError E_OPTION_OUT unless `dir` is an empty directory */
export async function requireEmpty(dir: string): Promise<void> {
  let got: string;
  try {
    const names = await readdir(dir);
    if (names.length === 0) return;
    got = `${names.length} files in it`;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw fileError(error, dir);
    got = code === 'ENOENT' ? 'nothing' : 'a file';
  }
  const message = `${dir}: expected an existing, empty directory to write into, got ${got}; choose another.`;
  throw new OptionError('E_OPTION_OUT', message, { path: dir, got });
}

function checkLength(path: string, tensor: string, expected: number, got: number): void {
  if (got !== expected) throw internal(path, tensor, `${expected} bytes`, `${got}`);
}

function internal(path: string, tensor: string, expected: string, got: string): InternalError {
  const message = `${path}: tensor ${show(tensor)}: expected ${expected}, got ${got}; please report this.`;
  return new InternalError('E_INTERNAL_TENSOR', message, { path, tensor, expected, got });
}
