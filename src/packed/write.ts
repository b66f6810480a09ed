// Packs text files, then the tensors in the model's order, then the directory, into memory or into a .lw file that
// appears complete or not at all. One tensor is in memory at a time. The output depends only on the source and the
// settings, so equal calls give equal bytes.

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { CheckpointError, InternalError, type OnProgress, VERSION, writeAtomically } from '../base/index.js';
import {
  allocate,
  calibrationOf,
  readFully,
  readScales,
  type ScalesFile,
  statIfThere,
  withFile,
  writeFully,
} from '../checkpoint/index.js';
import { type Directory, MAX_TEXT, paddedBytes, TEXT_FILES, type TensorEntry, type TextEntry } from './directory.js';
import { encodeTensor, type PackSettings } from './encode.js';
import { align, formatPreamble, MAX_DIRECTORY, PREAMBLE_BYTES, packedError, WEIGHTS_ALIGNMENT } from './format.js';
import { sha256 } from './hash.js';
import { type PackedModel, requireTarget } from './packed.js';
import type { PackedTensor, PackSource } from './source.js';

/** Takes the weights' bytes, in order. */
type Sink = (bytes: Uint8Array) => Promise<void> | void;
type TextContent = { readonly name: TextEntry['name']; readonly bytes: Uint8Array };

/**
 * Writes `source` to `path` as a .lw file and returns its directory.
 * @throws NumericError E_NUMERIC_WEIGHT where a weight is not finite; CheckpointError E_CHECKPOINT_…; ResourceError E_RESOURCE_…
 */
export async function writePacked(
  path: string,
  source: PackSource,
  settings: PackSettings,
  onProgress: OnProgress,
): Promise<{ readonly directory: Directory; readonly fileBytes: number }> {
  const texts = await readTexts(source.checkpoint.dir);
  return await writeAtomically(path, async (handle) => {
    let end = 0;
    const write = async (bytes: Uint8Array): Promise<void> => {
      await writeFully(handle, bytes);
      end += bytes.length;
    };
    await write(new Uint8Array(PREAMBLE_BYTES));
    for (const { bytes } of texts) {
      await write(new Uint8Array(align(end) - end));
      await write(bytes);
    }
    await write(new Uint8Array(align(end, WEIGHTS_ALIGNMENT) - end));
    const directory = await pack(source, settings, texts, write, onProgress);
    const bytes = Buffer.from(JSON.stringify(directory));
    if (bytes.length > MAX_DIRECTORY) throw packedError(path, 'fewer tensors', `${directory.tensors.length}`);
    const directoryOffset = end;
    await write(bytes);
    const preamble = { fileBytes: end, directoryOffset, directoryBytes: bytes.length, directoryHash: sha256(bytes) };
    await handle.write(formatPreamble(preamble), 0, PREAMBLE_BYTES, 0);
    return { directory, fileBytes: end };
  });
}

/**
 * Packs `source` in memory; the result equals `openPacked` of the file. Weights stay packed until they are read, and
 * each tensor is freed as it is read, so they can be read once.
 * @throws as `writePacked`
 */
export async function packInMemory(
  source: PackSource,
  settings: PackSettings,
  onProgress: OnProgress,
): Promise<PackedModel> {
  const path = source.checkpoint.dir;
  const texts = await readTexts(path);
  const chunks: Uint8Array[] = [];
  const directory = await pack(source, settings, texts, (bytes) => void chunks.push(bytes), onProgress);
  return {
    path,
    directory,
    tensors: new Map(directory.tensors.map((tensor) => [tensor.name, tensor])),
    weightBytes: directory.weights.bytes,
    readText: async (name) => {
      const text = texts.find((one) => one.name === name);
      return text && new TextDecoder().decode(text.bytes);
    },
    readWeightsInto: async (target, { onTensor } = {}) => {
      requireTarget(path, target, directory.weights.bytes);
      if (chunks.length === 0)
        throw new InternalError('E_INTERNAL_PACKED', `${path}: its weights have already been read.`);
      let end = 0;
      chunks.reverse();
      for (const tensor of directory.tensors) {
        while (end < tensor.offset + tensor.bytes) {
          const chunk = chunks.pop()!;
          target.set(chunk, end);
          end += chunk.length;
        }
        onTensor?.(tensor);
      }
    },
    close: async () => void chunks.splice(0),
  };
}

async function readTexts(dir: string): Promise<readonly TextContent[]> {
  const texts: TextContent[] = [];
  for (const name of TEXT_FILES) {
    const path = join(dir, name);
    const stats = await statIfThere(path);
    if (!stats?.isFile()) continue;
    if (stats.size > MAX_TEXT) {
      const message = `${path}: expected at most ${MAX_TEXT} bytes, got ${stats.size}; this is not a model file.`;
      throw new CheckpointError('E_CHECKPOINT_TEXT', message, { file: path, limit: MAX_TEXT, got: stats.size });
    }
    const bytes = allocate(stats.size, path);
    await withFile(path, (handle) => readFully(handle, bytes, 0, path));
    texts.push({ name, bytes });
  }
  return texts;
}

/** Passes the weights to `sink` and returns the directory of a file with `texts` and these weights. */
async function pack(
  source: PackSource,
  settings: PackSettings,
  texts: readonly TextContent[],
  sink: Sink,
  onProgress: OnProgress,
): Promise<Directory> {
  const blocks = new Set(source.tensors.map(({ block }) => block).filter((block) => block !== undefined));
  const linears = source.tensors.filter(({ role }) => role === 'linear');
  const scales = await readScales(source.checkpoint, linears);
  onProgress({ kind: 'stage', stage: 'packing', total: blocks.size });
  const tensors: TensorEntry[] = [];
  let end = 0;
  for (const [i, tensor] of source.tensors.entries()) {
    const entry = await packTensor(source, tensor, settings, scales, end, sink);
    tensors.push(entry);
    end += entry.bytes;
    if (tensor.block !== undefined && source.tensors[i + 1]?.block !== tensor.block) onProgress({ kind: 'advance' });
  }
  let offset = PREAMBLE_BYTES;
  const files = texts.map(({ name, bytes }) => {
    const entry = { name, offset: align(offset), bytes: bytes.length, sha256: sha256(bytes) };
    offset = entry.offset + entry.bytes;
    return entry;
  });
  const weights = { offset: align(offset, WEIGHTS_ALIGNMENT), bytes: end };
  const calibration = await calibrationOf(source.checkpoint.dir);
  return {
    layerwise: VERSION,
    values: settings.values,
    head: settings.head,
    ...(calibration ? { calibration } : {}),
    files,
    weights,
    tensors,
  };
}

async function packTensor(
  { checkpoint }: PackSource,
  tensor: PackedTensor,
  settings: PackSettings,
  scales: ScalesFile | undefined,
  offset: number,
  sink: Sink,
): Promise<TensorEntry> {
  const { encoded, nonzeros, rounded, reason } = await encodeTensor(checkpoint, tensor, settings, scales);
  const hash = createHash('sha256');
  const give = async (bytes: Uint8Array): Promise<void> => {
    if (bytes.length === 0) return;
    hash.update(bytes);
    await sink(bytes);
  };
  for (const part of encoded.parts) {
    await give(part);
    await give(new Uint8Array(align(part.length) - part.length));
  }
  const { name, role } = tensor;
  const { layout } = encoded;
  const bytes = paddedBytes(layout);
  return { name, role, offset, bytes, sha256: hash.digest('hex'), nonzeros, rounded, reason, layout };
}
