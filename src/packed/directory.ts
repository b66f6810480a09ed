// The directory of a .lw file: what the file contains and where. Hostile files are rejected here. The directory's size
// is bounded, its JSON is checked before it is parsed, every object must have exactly the expected keys, and every
// offset and length must be the one that follows from the shapes and layouts before it.

import { z } from 'zod';
import { CheckpointError, LayerwiseError } from '../base/portable.js';
import { parseJsonObject } from '../checkpoint/portable.js';
import { checkLayout, type LinearLayout } from '../layouts/portable.js';
import { ALIGNMENT, align, PREAMBLE_BYTES, type Preamble, packedError, WEIGHTS_ALIGNMENT } from './format.js';

/** The text files that a .lw file can contain, in order: config.json always, the others where the checkpoint has them. */
export const TEXT_FILES = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'chat_template.json',
] as const;
export type TextFile = (typeof TEXT_FILES)[number];
export const MAX_TEXT = 64 << 20;

const ROLES = ['embedding', 'positions', 'head', 'linear', 'router', 'vector'] as const;
/** The role of a tensor in the model. A head that is tied to the embeddings is not stored. */
export type Role = (typeof ROLES)[number];
/** Whether a role is always stored in float32. */
export const isExact = (role: Role): boolean => role === 'vector' || role === 'positions' || role === 'router';

export const VALUES = ['int8', 'int4', 'int3', 'int2', 'f32'] as const;
export type StoredValues = (typeof VALUES)[number];
export const HEADS = ['int8', 'int4', 'f32'] as const;
export type HeadValues = (typeof HEADS)[number];

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const words = z.string().max(1000);
const tileValues = z.enum(['int8', 'int4']);
const shaped = {
  rows: count.min(1),
  columns: count.min(1),
  parts: z.array(z.strictObject({ name: z.string().max(40), bytes: count })).max(8),
};

/** The descriptions of the room `layouts`; checkLayout checks that their fields fit together. */
const layoutSchema = z.union([
  z.strictObject({ layout: z.literal('dense'), values: z.enum(VALUES), ...shaped }),
  z.strictObject({ layout: z.literal('rows'), values: z.literal('f32'), ...shaped }),
  z.strictObject({ layout: z.literal('tiles'), form: z.literal('fixed'), values: tileValues, slots: count, ...shaped }),
  z.strictObject({
    layout: z.literal('tiles'),
    form: z.literal('fixed'),
    values: tileValues,
    slots: count,
    index: z.literal('mask'),
    ...shaped,
  }),
  z.strictObject({ layout: z.literal('tiles'), form: z.literal('sorted'), values: tileValues, ...shaped }),
]);

const tensorSchema = z.strictObject({
  name: z.string().min(1).max(500),
  role: z.enum(ROLES),
  /** Bytes from the start of the weights; a multiple of 64. */
  offset: count,
  /** All parts, each padded with zeros to a multiple of 64. */
  bytes: count,
  /** Hash of these bytes. */
  sha256: hash,
  /** Stored weights that are not zero; and weights of the source that were not zero and were rounded to it. */
  nonzeros: count,
  rounded: count,
  /** Why it has this layout. */
  reason: words,
  layout: layoutSchema,
});

const textSchema = z.strictObject({
  name: words,
  hash,
  tokens: count,
  windows: count,
  length: count,
  order: z.enum(['all', 'random', 'sequential']),
  bos: count.nullable().default(null),
});

const directorySchema = z.strictObject({
  /** The version of Layerwise that wrote the file. */
  layerwise: words,
  values: z.enum(VALUES),
  head: z.enum(HEADS),
  /** The calibration text of the checkpoint's record; absent where the checkpoint has none, and in older files. */
  calibration: textSchema.optional(),
  files: z.array(z.strictObject({ name: z.enum(TEXT_FILES), offset: count, bytes: count.max(MAX_TEXT), sha256: hash })),
  weights: z.strictObject({ offset: count, bytes: count }),
  tensors: z.array(tensorSchema).min(1),
});

type Deep<T> = T extends object ? { readonly [K in keyof T]: Deep<T[K]> } : T;
export type TextEntry = Deep<z.infer<typeof directorySchema>['files'][number]>;
export type TensorEntry = Omit<Deep<z.infer<typeof tensorSchema>>, 'layout'> & { readonly layout: LinearLayout };
export type Directory = Omit<Deep<z.infer<typeof directorySchema>>, 'tensors'> & {
  readonly tensors: readonly TensorEntry[];
};

/**
 * Parses the directory's bytes, whose hash was checked, and checks that they describe a file with this preamble.
 * @throws CheckpointError E_CHECKPOINT_PACKED, E_CHECKPOINT_PACKED_TENSOR
 */
export function parseDirectory(bytes: Uint8Array, preamble: Preamble, path: string): Directory {
  const json = parseJsonObject(bytes, path, 'E_CHECKPOINT_PACKED');
  const parsed = directorySchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const place = issue.path.map(String).join('.').slice(0, 80);
    const got = `at ${place || 'its top'}: ${issue.message.slice(0, 200)}${describeLayout(json, issue.path)}`;
    throw packedError(path, 'a directory that this version knows', got);
  }
  const directory = parsed.data;
  checkTexts(directory, path);
  checkTensors(directory, path);
  const end = directory.weights.offset + directory.weights.bytes;
  if (end !== preamble.directoryOffset) {
    throw packedError(path, `weights up to the directory at ${preamble.directoryOffset}`, `up to ${end}`);
  }
  return directory;
}

/** Names the layout at a place of the directory, which may be one of a later version. */
function describeLayout(json: unknown, place: readonly PropertyKey[]): string {
  if (place.at(-1) !== 'layout') return '';
  const found = place.reduce((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], json);
  const { layout, values, form, columns } = (found ?? {}) as Record<string, unknown>;
  return `: ${JSON.stringify({ layout, values, form, columns }).slice(0, 200)}`;
}

function checkTexts({ files, weights }: Directory, path: string): void {
  let [end, order] = [PREAMBLE_BYTES, -1];
  for (const { name, offset, bytes } of files) {
    const place = TEXT_FILES.indexOf(name);
    if (place <= order) throw packedError(path, 'each text file once, in the order of the format', name);
    if (offset !== align(end)) throw packedError(path, `${name} at ${align(end)}`, `${offset}`);
    [end, order] = [offset + bytes, place];
  }
  if (files[0]?.name !== 'config.json') throw packedError(path, 'config.json', 'none');
  const start = align(end, WEIGHTS_ALIGNMENT);
  if (weights.offset !== start) throw packedError(path, `weights at ${start}`, `${weights.offset}`);
}

function checkTensors({ tensors, weights }: Directory, path: string): void {
  const names = new Set<string>();
  let end = 0;
  for (const { name, role, offset, bytes, nonzeros, rounded, layout } of tensors) {
    const refuse = (expected: string, got: unknown): CheckpointError => tensorError(path, name, expected, `${got}`);
    if (names.has(name)) throw refuse('each name once', 'a second one');
    names.add(name);
    try {
      checkLayout(layout);
    } catch (cause) {
      if (cause instanceof LayerwiseError) throw tensorError(path, name, 'a sound layout', cause.message, cause);
      throw cause;
    }
    const weightCount = layout.rows * layout.columns;
    if (!Number.isSafeInteger(weightCount)) throw refuse('fewer than 2^53 weights', weightCount);
    if (nonzeros + rounded > weightCount) throw refuse(`at most ${weightCount} weights`, nonzeros + rounded);
    if (role === 'vector' && layout.rows !== 1) throw refuse('a vector to have one row', layout.rows);
    if (isExact(role) && layout.values !== 'f32') throw refuse(`${role} in f32`, layout.values);
    const isTable = role === 'embedding' || role === 'head';
    if (isTable && !HEADS.some((values) => values === layout.values)) {
      throw refuse(`${role} in ${HEADS.join(', ')}`, layout.values);
    }
    if (role !== 'linear' && layout.layout !== 'dense') throw refuse(`dense ${role}`, layout.layout);
    const wanted = paddedBytes(layout);
    if (offset !== end || bytes !== wanted) {
      throw refuse(`${wanted} bytes of the weights from ${end} on`, `${bytes} from ${offset} on`);
    }
    end += bytes;
    if (!Number.isSafeInteger(end)) throw refuse('offsets below 2^53', end);
  }
  if (weights.bytes !== end) throw packedError(path, `${end} bytes of weights for its tensors`, `${weights.bytes}`);
}

/** Bytes of all parts with their padding. */
export const paddedBytes = ({ parts }: LinearLayout): number =>
  parts.reduce((sum, { bytes }) => sum + align(bytes, ALIGNMENT), 0);

/** The offsets of a tensor's parts from the start of the weights, in the order of `layout.parts`. */
export function partOffsets({ offset, layout }: TensorEntry): readonly number[] {
  let end = offset;
  return layout.parts.map(({ bytes }) => {
    const begin = end;
    end = align(begin + bytes, ALIGNMENT);
    return begin;
  });
}

/** The error for an invalid tensor of a .lw file. */
export function tensorError(
  file: string,
  tensor: string,
  expected: string,
  got: string,
  cause?: unknown,
): CheckpointError {
  const message = `${file}: tensor ${JSON.stringify(tensor)}: expected ${expected}, got ${got}; pack the checkpoint again, or copy the file again.`;
  return new CheckpointError('E_CHECKPOINT_PACKED_TENSOR', message, { file, tensor, expected, got }, { cause });
}
