// Checks that every engine makes before it computes: the files that a graph points into exist and are long enough, and
// the tensors of a run fit the graph's declarations. The engines' own messages about these problems suggest no next
// step.

import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError, fileError, ShapeError } from '../base/index.js';
import type { Graph, Initializer } from '../graph/index.js';
import { bytesPerElement, elementCount } from '../tensor/index.js';
import type { HostTensor } from './engine.js';

/**
 * Checks that every initialiser has as many bytes as its shape and dtype need.
 * @throws ResourceError E_RESOURCE_NOT_FOUND … where a file cannot be read
 * @throws CheckpointError E_CHECKPOINT_CHANGED where a file ends before a tensor does, unlike when it was opened
 * @throws ShapeError E_SHAPE_INITIALIZER where bytes and shape disagree
 */
export async function checkFiles(graph: Graph): Promise<void> {
  const sizes = new Map<string, number>();
  for (const { name, dtype, shape, source } of graph.initializers) {
    const length = source.kind === 'bytes' ? source.bytes.byteLength : source.length;
    const expected = bytesPerElement(dtype) * elementCount(shape);
    if (length !== expected) {
      throw new ShapeError(
        'E_SHAPE_INITIALIZER',
        `${graph.name}: tensor ${name} (${dtype} [${shape}]) has ${length} bytes; expected ${expected}.`,
        { tensor: name, expected, got: length },
      );
    }
    if (source.kind === 'bytes') continue;
    const path = join(graph.folder ?? '', source.file);
    const size = sizes.get(path) ?? (await sizeOf(path));
    sizes.set(path, size);
    if (source.offset + source.length > size) {
      throw new CheckpointError(
        'E_CHECKPOINT_CHANGED',
        `${path}: tensor ${name} ends at byte ${source.offset + source.length}, but the file has ${size}. Fetch the file again.`,
        { path, tensor: name, size },
      );
    }
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    throw fileError(error, path);
  }
}

/** Reads the bytes of an initialiser, from the file or from memory. @throws ResourceError E_RESOURCE_… */
export async function readInitializer(graph: Graph, { source }: Initializer): Promise<Uint8Array> {
  if (source.kind === 'bytes') return source.bytes;
  const path = join(graph.folder ?? '', source.file);
  try {
    const handle = await open(path, 'r');
    try {
      const bytes = new Uint8Array(source.length);
      for (let at = 0; at < bytes.length; ) {
        const { bytesRead } = await handle.read(bytes, at, bytes.length - at, source.offset + at);
        if (bytesRead === 0) break;
        at += bytesRead;
      }
      return bytes;
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError(error, path);
  }
}

/**
 * Checks the tensors of one run. A named dimension must have one size in all of them. @throws ShapeError E_SHAPE_INPUT
 */
export function checkInputs(graph: Graph, inputs: Readonly<Record<string, HostTensor>>): void {
  const named = new Map<string, number>();
  for (const { name, type, shape } of graph.inputs) {
    const got = inputs[name];
    const fits =
      got?.type === type &&
      got.shape.length === shape.length &&
      got.data.length === elementCount(got.shape) &&
      shape.every((dimension, axis) => {
        if (typeof dimension === 'number') return got.shape[axis] === dimension;
        if (!named.has(dimension)) named.set(dimension, got.shape[axis]!);
        return named.get(dimension) === got.shape[axis];
      });
    if (fits) continue;
    const found = got ? `${got.type} [${got.shape}] of ${got.data.length} values` : 'nothing';
    throw new ShapeError('E_SHAPE_INPUT', `${graph.name}: input ${name}: expected ${type} [${shape}], got ${found}.`, {
      input: name,
      expected: shape,
      got: got?.shape,
    });
  }
}
