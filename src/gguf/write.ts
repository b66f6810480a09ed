// Writes a GGUF file, version 3: 'GGUF', the version, two counts, key-value pairs, the list of tensors (name, dimensions with
// the fastest first, type, offset from the start of the data), and the data, each tensor at a multiple of 32. The file appears
// whole or not at all. What `read` yields of one tensor is held at a time.

import { InternalError, writeAtomically } from '../base/index.js';
import { writeFully } from '../checkpoint/index.js';
import { elementCount } from '../tensor/index.js';
import { BLOCK_TYPES, type BlockTypeName } from './types.js';

const VERSION = 3;
const ALIGNMENT = 32;

/** A value with its type: GGUF has no other way to tell 1 from 1.0. */
export type GgufValue =
  | { readonly kind: 'u32'; readonly value: number }
  | { readonly kind: 'f32'; readonly value: number }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'text'; readonly value: string }
  | { readonly kind: 'texts'; readonly value: readonly string[] }
  | { readonly kind: 'i32s'; readonly value: readonly number[] }
  | { readonly kind: 'f32s'; readonly value: readonly number[] };

/** A tensor to write: its shape row-major, and its blocks, in parts of any length. */
export type GgufTensorToWrite = {
  readonly name: string;
  readonly type: BlockTypeName;
  readonly shape: readonly number[];
  read(): AsyncIterable<Uint8Array>;
};

const TYPES = { u32: 4, i32: 5, f32: 6, bool: 7, text: 8, array: 9 } as const;

/** The bytes of a tensor's blocks. */
export const blockBytes = ({ type, shape }: Pick<GgufTensorToWrite, 'type' | 'shape'>): number =>
  (elementCount(shape) / BLOCK_TYPES[type].weights) * BLOCK_TYPES[type].bytes;

/**
 * Writes the file and returns its size.
 * @throws InternalError E_INTERNAL_TENSOR for blocks that do not fit their type and shape
 * @throws ResourceError E_RESOURCE_…
 */
export async function writeGguf(
  path: string,
  values: readonly (readonly [key: string, value: GgufValue])[],
  tensors: readonly GgufTensorToWrite[],
): Promise<number> {
  const header = formatHeader(values, tensors);
  return await writeAtomically(path, async (handle) => {
    let end = 0;
    const put = async (bytes: Uint8Array): Promise<void> => {
      await writeFully(handle, bytes);
      end += bytes.length;
    };
    const pad = (): Promise<void> => put(new Uint8Array(align(end) - end));
    await put(header);
    for (const tensor of tensors) {
      await pad();
      const start = end;
      for await (const part of tensor.read()) await put(part);
      if (end - start !== blockBytes(tensor)) {
        const message = `${path}: tensor ${tensor.name}: expected ${blockBytes(tensor)} bytes, got ${end - start}; please report this.`;
        throw new InternalError('E_INTERNAL_TENSOR', message, { path, tensor: tensor.name });
      }
    }
    await pad();
    return end;
  });
}

/** The size of a file that holds these values and tensors. */
export function ggufBytes(
  values: readonly (readonly [key: string, value: GgufValue])[],
  tensors: readonly Pick<GgufTensorToWrite, 'name' | 'type' | 'shape'>[],
): number {
  return tensors.reduce((end, tensor) => align(end + blockBytes(tensor)), align(formatHeader(values, tensors).length));
}

const align = (offset: number): number => Math.ceil(offset / ALIGNMENT) * ALIGNMENT;

function formatHeader(
  values: readonly (readonly [key: string, value: GgufValue])[],
  tensors: readonly Pick<GgufTensorToWrite, 'name' | 'type' | 'shape'>[],
): Buffer {
  const parts = [Buffer.from('GGUF'), u32(VERSION), u64(tensors.length), u64(values.length)];
  for (const [key, value] of values) parts.push(text(key), ...formatValue(value));
  let offset = 0;
  for (const tensor of tensors) {
    const { name, shape, type } = tensor;
    parts.push(text(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(BLOCK_TYPES[type].id), u64(offset));
    offset = align(offset + blockBytes(tensor));
  }
  return Buffer.concat(parts);
}

function formatValue(value: GgufValue): readonly Buffer[] {
  switch (value.kind) {
    case 'u32':
      return [u32(TYPES.u32), u32(value.value)];
    case 'f32':
      return [u32(TYPES.f32), bytesOf(Float32Array.of(value.value))];
    case 'bool':
      return [u32(TYPES.bool), Buffer.of(value.value ? 1 : 0)];
    case 'text':
      return [u32(TYPES.text), text(value.value)];
    case 'texts':
      return [...arrayOf('text', value.value.length), ...value.value.map(text)];
    case 'i32s':
      return [...arrayOf('i32', value.value.length), bytesOf(Int32Array.from(value.value))];
    case 'f32s':
      return [...arrayOf('f32', value.value.length), bytesOf(Float32Array.from(value.value))];
    default:
      return value satisfies never;
  }
}

const arrayOf = (type: keyof typeof TYPES, count: number): readonly Buffer[] => [
  u32(TYPES.array),
  u32(TYPES[type]),
  u64(count),
];

const bytesOf = ({ buffer }: Float32Array | Int32Array | Uint32Array | BigUint64Array): Buffer => Buffer.from(buffer);
const u32 = (value: number): Buffer => bytesOf(Uint32Array.of(value));
const u64 = (value: number): Buffer => bytesOf(BigUint64Array.of(BigInt(value)));

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}
