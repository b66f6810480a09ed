// The residual stream between blocks, for many windows: chunks of a few windows each, [b, T, D] in float32. Chunks stay in
// memory up to a budget; beyond it they lie in one scratch file, so memory does not grow with the number of windows. How
// windows fall into chunks depends only on T, never on threads, so sums over chunks are the same on every machine.

import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileError, handOver, InternalError } from '../base/index.js';
import type { HostTensor } from '../engine/index.js';

/** Tokens in one run of a graph: enough to keep a core busy, few enough to stay in its cache. */
const TOKENS_PER_RUN = 1024;
const MEMORY_BUDGET = 1 << 30;

export type Activations = {
  /** Windows in each chunk, T, D. */
  readonly chunks: readonly number[];
  readonly length: number;
  readonly width: number;
  /** Reads a chunk. Its values must not be changed in place. */
  read(chunk: number): Promise<Float32Array>;
  /** Stores a chunk and takes over `data`, which must not be in another chunk or in use anywhere else. */
  write(chunk: number, data: Float32Array): Promise<void>;
  /** Lends a chunk to `use`, which returns its values, possibly as another array over the same memory. */
  lend<T>(chunk: number, use: (data: Float32Array) => Promise<readonly [back: Float32Array, T]>): Promise<T>;
  close(): Promise<void>;
};

/** How `windows` windows of `length` tokens fall into chunks. */
export function chunksOf(windows: number, length: number): readonly number[] {
  const perChunk = Math.max(1, Math.floor(TOKENS_PER_RUN / length));
  const chunks: number[] = [];
  for (let left = windows; left > 0; left -= perChunk) chunks.push(Math.min(left, perChunk));
  return chunks;
}

/**
 * Creates a store for the residual of windows of `length` tokens, `width` wide, in chunks of the given numbers of windows.
 */
export async function createActivations(
  chunks: readonly number[],
  length: number,
  width: number,
  memoryBudget = MEMORY_BUDGET,
): Promise<Activations> {
  const shape = { chunks, length, width };
  const windows = chunks.reduce((a, b) => a + b, 0);
  return windows * length * width * 4 <= memoryBudget ? inMemory(shape) : onDisk(shape, Math.max(...chunks));
}

type Shape = Pick<Activations, 'chunks' | 'length' | 'width'>;

function inMemory(shape: Shape): Activations {
  const data = new Map<number, Float32Array>();
  return {
    ...shape,
    read: async (chunk) => data.get(chunk)!,
    write: async (chunk, values) => void data.set(chunk, values),
    lend: async (chunk, use) => {
      const [back, result] = await use(data.get(chunk)!);
      data.set(chunk, back);
      return result;
    },
    close: async () => data.clear(),
  };
}

async function onDisk(shape: Shape, perChunk: number): Promise<Activations> {
  const path = join(tmpdir(), `layerwise-${randomUUID()}.scratch`);
  let file: FileHandle;
  try {
    // The open handle keeps the space; nothing is left on the disk when it is closed.
    file = await handOver(await open(path, 'wx+', 0o600), async (opened) => {
      await rm(path);
      return opened;
    });
  } catch (error) {
    throw fileError(error, path);
  }
  const stride = perChunk * shape.length * shape.width * 4;
  const read = async (chunk: number): Promise<Float32Array> => {
    const values = new Float32Array(shape.chunks[chunk]! * shape.length * shape.width);
    const bytes = new Uint8Array(values.buffer);
    for (let at = 0; at < bytes.length; ) {
      const { bytesRead } = await file.read(bytes, at, bytes.length - at, chunk * stride + at);
      if (bytesRead === 0)
        throw new InternalError('E_INTERNAL_SCRATCH', 'The scratch file is shorter than it should be.');
      at += bytesRead;
    }
    return values;
  };
  return {
    ...shape,
    read,
    write: async (chunk, values) => {
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      try {
        for (let at = 0; at < bytes.length; ) {
          const { bytesWritten } = await file.write(bytes, at, bytes.length - at, chunk * stride + at);
          at += bytesWritten;
        }
      } catch (error) {
        throw fileError(error, path);
      }
    },
    lend: async (chunk, use) => (await use(await read(chunk)))[1],
    close: () => file.close(),
  };
}

/** A chunk as the tensor a block graph takes. */
export const chunkTensor = (activations: Activations, chunk: number, data: Float32Array): HostTensor => ({
  type: 'f32',
  shape: [activations.chunks[chunk]!, activations.length, activations.width],
  data,
});
