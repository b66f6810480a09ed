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
  /** Samples in each chunk, T, D. */
  readonly chunks: readonly number[];
  readonly length: number;
  readonly width: number;
  /** The row of each sample that the head reads, where it is not the same row in all. */
  ends?: Int32Array | undefined;
  /** Whether it is one leaf of a larger text (leaves.ts). */
  isLeaf?: boolean;
  /** Says that chunks have another T and D from now on, as where a block halves an image. Values must not grow in number. */
  reshape(length: number, width: number): void;
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

/** The places of the first things of parts of these sizes: of samples in chunks, of images in samples. */
export function startsOf(counts: readonly number[]): number[] {
  const starts: number[] = [];
  let at = 0;
  for (const count of counts) {
    starts.push(at);
    at += count;
  }
  return starts;
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

type Shape = { readonly chunks: readonly number[]; length: number; width: number };

/** A store without its values. */
function bare({ chunks, length, width }: Shape) {
  const shape = { length, width };
  return {
    chunks,
    get length() {
      return shape.length;
    },
    get width() {
      return shape.width;
    },
    reshape: (to: number, wide: number): void => {
      if (to * wide > length * width) throw new InternalError('E_INTERNAL_SHAPE', 'A store cannot grow.');
      shape.length = to;
      shape.width = wide;
    },
  };
}

function inMemory(shape: Shape): Activations {
  const data = new Map<number, Float32Array>();
  return Object.assign(bare(shape), {
    read: async (chunk: number) => data.get(chunk)!,
    write: async (chunk: number, values: Float32Array) => void data.set(chunk, values),
    lend: async <T>(chunk: number, use: (data: Float32Array) => Promise<readonly [Float32Array, T]>): Promise<T> => {
      const [back, result] = await use(data.get(chunk)!);
      data.set(chunk, back);
      return result;
    },
    close: async () => data.clear(),
  });
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
  // What a chunk holds, which is not always of the store's present shape: blocks go through it chunk by chunk.
  const counts = new Map<number, number>();
  const read = async (chunk: number): Promise<Float32Array> => {
    const values = new Float32Array(counts.get(chunk) ?? shape.chunks[chunk]! * shape.length * shape.width);
    const bytes = new Uint8Array(values.buffer);
    for (let at = 0; at < bytes.length; ) {
      const { bytesRead } = await file.read(bytes, at, bytes.length - at, chunk * stride + at);
      if (bytesRead === 0)
        throw new InternalError('E_INTERNAL_SCRATCH', 'The scratch file is shorter than it should be.');
      at += bytesRead;
    }
    return values;
  };
  return Object.assign(bare(shape), {
    read,
    write: async (chunk: number, values: Float32Array) => {
      counts.set(chunk, values.length);
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
    lend: async <T>(chunk: number, use: (data: Float32Array) => Promise<readonly [Float32Array, T]>): Promise<T> =>
      (await use(await read(chunk)))[1],
    close: () => file.close(),
  });
}

/** A chunk as the tensor a block graph takes. */
export const chunkTensor = (activations: Activations, chunk: number, data: Float32Array): HostTensor => ({
  type: 'f32',
  shape: [activations.chunks[chunk]!, activations.length, activations.width],
  data,
});

/** The samples at `places`, in chunks of their own. */
export async function takeSamples(from: Activations, places: readonly number[]): Promise<Activations> {
  const { length, width } = from;
  const size = length * width;
  const wanted = new Map<number, number[]>();
  for (const [at, place] of places.entries()) wanted.set(place, [...(wanted.get(place) ?? []), at]);
  const taken: Float32Array[] = [];
  let first = 0;
  for (const [chunk, count] of from.chunks.entries()) {
    const inside = Array.from({ length: count }, (_, i) => wanted.get(first + i) ?? []);
    if (inside.some((at) => at.length > 0)) {
      const data = await from.read(chunk);
      for (const [i, all] of inside.entries()) for (const at of all) taken[at] = data.slice(i * size, (i + 1) * size);
    }
    first += count;
  }
  return await handOver(await createActivations(chunksOf(places.length, length), length, width), async (to) => {
    const { ends } = from;
    if (ends) to.ends = Int32Array.from(places, (place) => ends[place]!);
    let at = 0;
    for (const [chunk, count] of to.chunks.entries()) {
      const data = new Float32Array(count * size);
      for (let i = 0; i < count; i++) data.set(taken[at++]!, i * size);
      await to.write(chunk, data);
    }
    return to;
  });
}
