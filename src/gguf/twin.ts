// A GGUF file as a Hugging Face directory, its twin: dequantised once into a cache, and from then on a checkpoint like any
// other. The twin's folder is named by the file's SHA-256 and the version of this conversion, so another file or a mended
// conversion makes another twin. A folder appears whole or not at all: it is written under another name by the one process
// that holds the lock, and renamed.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CheckpointError,
  fileError,
  LayerwiseError,
  type OnProgress,
  silent,
  syncDirectory,
  takeLock,
  writeFileAtomic,
} from '../base/index.js';
import { readFully, statIfThere, withFile, writeSafetensors } from '../checkpoint/index.js';
import { configOf, type GgufShape, readShape } from './config.js';
import { dequantise } from './dequantise.js';
import { factsOf } from './facts.js';
import { type GgufHeader, readGguf } from './header.js';
import { FREQUENCIES, planTensors, type TwinTensor } from './names.js';
import { refuseTensor } from './refuse.js';
import { tokenizerOf } from './tokenizer.js';
import { chooseDType, PastHalves, type TwinDType, twinWeights } from './weights.js';

/** Raised when the same file would become another twin. */
const CONVERSION = 1;
/** Milliseconds between two attempts at a lock that another process holds. */
const PATIENCE = 500;

export type Twin = {
  /** The twin's directory. */
  readonly dir: string;
  /** The absolute path of the GGUF file, and the SHA-256 of its bytes. */
  readonly path: string;
  readonly sha256: string;
};

/**
 * The twin of a GGUF file, made where `cacheDir` does not have it.
 *
 * @throws CheckpointError E_CHECKPOINT_GGUF where the file is broken
 * @throws UnsupportedError E_UNSUPPORTED_GGUF where it needs what we do not implement
 * @throws ResourceError E_RESOURCE_…
 */
export async function openTwin(file: string, cacheDir: string, onProgress: OnProgress = silent): Promise<Twin> {
  const path = resolve(file);
  const before = await stampOf(path);
  const header = await readGguf(path); // what is no model is refused before it is hashed
  const plan = planTwin(header);
  const sha256 = await hash(path, onProgress);
  const dir = join(cacheDir, `${sha256}-${CONVERSION}`);
  const twin = { dir, path, sha256 };
  if (await statIfThere(dir)) return twin;
  await mkdir(cacheDir, { recursive: true }).catch((error) => {
    throw fileError(error, cacheDir);
  });
  const unlock = await waitForLock(`${dir}.lock`, path, onProgress);
  try {
    const isSame = async (): Promise<boolean> => (await stampOf(path)) === before;
    if (!(await statIfThere(dir))) await writeTwin(plan, dir, isSame, onProgress);
  } finally {
    await unlock();
  }
  return twin;
}

/** What changes with the file. */
async function stampOf(path: string): Promise<string | undefined> {
  const stats = await statIfThere(path);
  return stats && `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
}

type Plan = {
  readonly header: GgufHeader;
  readonly shape: GgufShape;
  readonly tensors: readonly TwinTensor[];
  readonly texts: ReturnType<typeof tokenizerOf>;
};

function planTwin(header: GgufHeader): Plan {
  const shape = readShape(header);
  const facts = factsOf(header);
  const positions = facts.whole(`${shape.architecture}.context_length`, 1);
  const texts = tokenizerOf(facts, header.values.keys(), shape.vocabulary, positions);
  return { header, shape, tensors: planTensors(header, shape), texts };
}

async function writeTwin(
  { header, shape, tensors, texts }: Plan,
  dir: string,
  isSame: () => Promise<boolean>,
  onProgress: OnProgress,
): Promise<void> {
  const { path } = header;
  const frequencies = await readFrequencies(header);
  const chosen = chooseDType(tensors);
  configOf(header, shape, nameOf(chosen), frequencies); // refuses before the weights are read
  const temporary = `${dir}.tmp`;
  const remove = (): Promise<void> => rm(temporary, { recursive: true, force: true });
  try {
    await remove(); // of a process that was killed
    await mkdir(temporary);
    const total = tensors.reduce((sum, { from }) => sum + from.length, 0);
    const write = async (dtype: TwinDType): Promise<TwinDType> => {
      onProgress({ kind: 'stage', stage: `dequantising ${path}`, total, unit: 'bytes' });
      await withFile(path, (handle) => {
        const onBytes = (by: number): void => onProgress({ kind: 'advance', by });
        const all = tensors.map((one) => twinWeights(handle, path, one, dtype, shape.headDim, onBytes));
        return writeSafetensors(join(temporary, 'model.safetensors'), all, { format: 'pt' });
      });
      return dtype;
    };
    const dtype = await write(chosen).catch((error) => {
      if (!(error instanceof PastHalves)) throw error;
      onProgress({ kind: 'note', text: `${path}: F16 cannot hold some of the weights; writing F32.` });
      return write('F32');
    });
    const config = configOf(header, shape, nameOf(dtype), frequencies);
    for (const [name, content] of [
      ['config.json', config],
      ['generation_config.json', texts.generation],
      ['tokenizer_config.json', texts.config],
    ] as const) {
      await writeFileAtomic(join(temporary, name), `${JSON.stringify(content, undefined, 2)}\n`);
    }
    await writeFileAtomic(join(temporary, 'tokenizer.json'), texts.tokenizer);
    if (!(await isSame())) {
      const message = `${path}: the file changed while it was being read; run the command again when it is complete.`;
      throw new CheckpointError('E_CHECKPOINT_CHANGED', message, { file: path });
    }
    await rename(temporary, dir);
    await syncDirectory(join(dir, '..'));
  } catch (error) {
    await remove().catch(() => {});
    throw fileError(error, dir);
  }
}

const NAMES: Readonly<Record<TwinDType, string>> = { F16: 'float16', BF16: 'bfloat16', F32: 'float32' };
const nameOf = (dtype: TwinDType): string => NAMES[dtype];

async function readFrequencies({ path, tensors }: GgufHeader): Promise<Float32Array | undefined> {
  const tensor = tensors.get(FREQUENCIES);
  if (!tensor) return undefined;
  const { shape, type, offset, length } = tensor;
  if (shape.length !== 1 || shape[0]! > 1 << 16) throw refuseTensor(path, FREQUENCIES, 'a vector', `${shape}`);
  const bytes = new Uint8Array(length);
  await withFile(path, (handle) => readFully(handle, bytes, offset, path));
  return dequantise(bytes, type);
}

/** The SHA-256 of a file's bytes, in hexadecimal. */
async function hash(path: string, onProgress: OnProgress): Promise<string> {
  const total = (await statIfThere(path))?.size ?? 0;
  onProgress({ kind: 'stage', stage: `hashing ${path}`, total, unit: 'bytes' });
  const sum = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 4 << 20 })) {
      sum.update(chunk as Buffer);
      onProgress({ kind: 'advance', by: (chunk as Buffer).length });
    }
  } catch (error) {
    throw fileError(error, path);
  }
  return sum.digest('hex');
}

async function waitForLock(lock: string, path: string, onProgress: OnProgress): Promise<() => Promise<void>> {
  for (let told = false; ; told = true) {
    try {
      return await takeLock(lock);
    } catch (error) {
      if (!(error instanceof LayerwiseError) || error.code !== 'E_RESOURCE_LOCKED') throw error;
      if (!told) onProgress({ kind: 'note', text: `${path}: another process is dequantising it; waiting.` });
      await sleep(PATIENCE);
    }
  }
}
