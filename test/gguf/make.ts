// GGUF files for tests, written by hand so that they can be wrong; and a checkpoint as llama.cpp would convert it: its own
// names, queries and keys of LLaMA permuted, 1 added to the norms of Gemma, dimensions in reverse.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openCheckpoint, readTensorFloat32 } from '../../src/checkpoint/index.js';
import { BLOCK_TYPES, type BlockTypeName } from '../../src/gguf/index.js';
import { fromFloat32 } from '../../src/tensor/index.js';

type Kind = 'u8' | 'i8' | 'u16' | 'i16' | 'u32' | 'i32' | 'f32' | 'bool' | 'text' | 'list' | 'u64' | 'i64' | 'f64';
const KINDS: readonly Kind[] = [
  ...(['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'f32', 'bool', 'text', 'list', 'u64', 'i64', 'f64'] as const),
];

/** A value as bytes, behind its type. */
export type Pair = { readonly type: number; readonly bytes: Uint8Array };

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

export const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

const typeOf = (kind: Kind): number => KINDS.indexOf(kind);

function bytesOf(kind: Kind, value: unknown): Buffer {
  const bytes = Buffer.alloc(8);
  const number = Number(value);
  switch (kind) {
    case 'text':
      return text(String(value));
    case 'bool':
    case 'u8':
      return bytes.subarray(0, bytes.writeUInt8(number));
    case 'i8':
      return bytes.subarray(0, bytes.writeInt8(number));
    case 'u16':
      return bytes.subarray(0, bytes.writeUInt16LE(number));
    case 'i16':
      return bytes.subarray(0, bytes.writeInt16LE(number));
    case 'u32':
      return u32(number);
    case 'i32':
      return bytes.subarray(0, bytes.writeInt32LE(number));
    case 'f32':
      return bytes.subarray(0, bytes.writeFloatLE(number));
    case 'f64':
      return bytes.subarray(0, bytes.writeDoubleLE(number));
    case 'u64':
      return u64(value as number | bigint);
    case 'i64':
      return bytes.subarray(0, bytes.writeBigInt64LE(BigInt(value as number)));
    default:
      throw new Error(kind);
  }
}

export const value = (kind: Kind, content: unknown): Pair => ({ type: typeOf(kind), bytes: bytesOf(kind, content) });

export const list = (kind: Kind, content: readonly unknown[]): Pair => ({
  type: typeOf('list'),
  bytes: Buffer.concat([u32(typeOf(kind)), u64(content.length), ...content.map((one) => bytesOf(kind, one))]),
});

/** `dimensions` in ggml's order. `offset` counts from the start of the data; by default behind the tensor before. */
export type TensorSpec = {
  readonly name: string;
  readonly type: number;
  readonly dimensions: readonly (number | bigint)[];
  readonly data: Uint8Array;
  readonly offset?: number | bigint;
};

export type FileSpec = {
  readonly pairs?: readonly (readonly [key: string, pair: Pair])[];
  readonly tensors?: readonly TensorSpec[];
  readonly alignment?: number;
  readonly version?: number;
  readonly counts?: { readonly tensors?: number | bigint; readonly pairs?: number | bigint };
};

export function ggufBytes(spec: FileSpec): Buffer {
  const { pairs = [], tensors = [], alignment = 32, version = 3, counts = {} } = spec;
  const parts: Uint8Array[] = [Buffer.from('GGUF'), u32(version)];
  parts.push(u64(counts.tensors ?? tensors.length), u64(counts.pairs ?? pairs.length));
  for (const [key, { type, bytes }] of pairs) parts.push(text(key), u32(type), bytes);
  let end = 0;
  const data: Uint8Array[] = [];
  for (const { name, type, dimensions, data: bytes, offset } of tensors) {
    parts.push(text(name), u32(dimensions.length), ...dimensions.map(u64), u32(type), u64(offset ?? end));
    const padded = Buffer.alloc(Math.ceil(bytes.length / alignment) * alignment);
    padded.set(bytes);
    data.push(padded);
    end += padded.length;
  }
  const head = Buffer.concat(parts);
  return Buffer.concat([head, Buffer.alloc((alignment - (head.length % alignment)) % alignment), ...data]);
}

const NAMES: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens\.weight$/, 'token_embd.weight'],
  [/^model\.norm\.weight$/, 'output_norm.weight'],
  [/^lm_head\.weight$/, 'output.weight'],
  [/self_attn\.([qkv])_proj/, 'attn_$1'],
  [/self_attn\.o_proj/, 'attn_output'],
  [/self_attn\.([qk])_norm/, 'attn_$1_norm'],
  [/mlp\.(gate|up|down)_proj/, 'ffn_$1'],
  [/input_layernorm/, 'attn_norm'],
];
const norms = (architecture: string): readonly (readonly [RegExp, string])[] =>
  architecture === 'gemma3'
    ? [
        [/post_attention_layernorm/, 'post_attention_norm'],
        [/pre_feedforward_layernorm/, 'ffn_norm'],
        [/post_feedforward_layernorm/, 'post_ffw_norm'],
      ]
    : [[/post_attention_layernorm/, 'ffn_norm']];

export type ConvertOptions = {
  /** Of the matrices; quantised blocks are random. Defaults to F32. */
  readonly type?: (name: string) => BlockTypeName;
  /** The bytes of a matrix in that type. Defaults to rounding; not for quantised types. */
  readonly encode?: (name: string, W: Float32Array, type: BlockTypeName) => Uint8Array;
  readonly pairs?: readonly (readonly [key: string, pair: Pair | undefined])[];
  readonly more?: readonly TensorSpec[];
};

/** Converts a checkpoint's folder into a GGUF file at `path`, and returns `path`. */
export async function convert(dir: string, path: string, options: ConvertOptions = {}): Promise<string> {
  await writeFile(path, ggufBytes(await specOf(dir, options)));
  return path;
}

/** The parts of that file. */
export async function specOf(
  dir: string,
  options: ConvertOptions = {},
): Promise<Required<Pick<FileSpec, 'pairs' | 'tensors'>>> {
  const { type = () => 'F32', encode, pairs: own = [], more = [] } = options;
  const checkpoint = await openCheckpoint(dir);
  const config = checkpoint.config as Record<string, number | string | undefined> & { head_dim?: number };
  const architecture = String(config.model_type).replace('_text', '');
  const heads = Number(config.num_attention_heads);
  const kvHeads = Number(config.num_key_value_heads);
  const headDim = config.head_dim ?? Number(config.hidden_size) / heads;
  const tensors: TensorSpec[] = [];
  for (const { name, shape } of checkpoint.tensors.values()) {
    let W: Float32Array = await readTensorFloat32(checkpoint, name);
    const to = [...NAMES, ...norms(architecture)].reduce((so, [from, into]) => so.replace(from, into), name);
    if (architecture === 'llama' && /[qk]_proj/.test(name)) W = interleave(W, headDim, shape);
    if (architecture === 'gemma3' && name.endsWith('norm.weight')) W = W.map((weight) => weight + 1);
    const as = shape.length === 1 ? 'F32' : type(name);
    tensors.push({
      name: to.replace('model.layers.', 'blk.'),
      type: BLOCK_TYPES[as].id,
      dimensions: [...shape].reverse(),
      data: shape.length > 1 && encode ? encode(name, W, as) : fromFloat32(W, as as 'F32' | 'F16' | 'BF16'),
    });
  }
  const key = (name: string): string => `${architecture}.${name}`;
  const pairs = new Map<string, Pair | undefined>([
    ['general.architecture', value('text', architecture)],
    [key('block_count'), value('u32', config.num_hidden_layers)],
    [key('context_length'), value('u32', config.max_position_embeddings)],
    [key('embedding_length'), value('u32', config.hidden_size)],
    [key('feed_forward_length'), value('u32', config.intermediate_size)],
    [key('attention.head_count'), value('u32', heads)],
    [key('attention.head_count_kv'), value('u32', kvHeads)],
    [key('attention.key_length'), value('u32', headDim)],
    [key('attention.value_length'), value('u32', headDim)],
    [key('attention.layer_norm_rms_epsilon'), value('f32', config.rms_norm_eps ?? 1e-6)],
    [key('rope.dimension_count'), value('u32', headDim)],
    [key('rope.freq_base'), value('f32', config.rope_theta ?? (architecture === 'gemma3' ? 1e6 : 1e4))],
    ...(config.sliding_window === undefined
      ? []
      : ([[key('attention.sliding_window'), value('u32', config.sliding_window)]] as const)),
    ...(config.sliding_window_pattern === undefined
      ? []
      : ([[key('attention.sliding_window_pattern'), value('u32', config.sliding_window_pattern)]] as const)),
    ...(await tokenizerPairs(dir)),
    ...own,
  ]);
  return {
    pairs: [...pairs].flatMap(([name, pair]) => (pair ? [[name, pair] as const] : [])),
    tensors: [...tensors, ...more],
  };
}

/** How llama.cpp permutes LLaMA's queries and keys: row j·d/2 + i of a head becomes row 2i + j. */
function interleave(W: Float32Array, headDim: number, shape: readonly number[]): Float32Array {
  const columns = shape.length > 1 ? shape[1]! : 1;
  const out = new Float32Array(W.length);
  for (let row = 0; row < shape[0]!; row++) {
    const [j, i] = [Math.floor((row % headDim) / (headDim / 2)), row % (headDim / 2)];
    const to = Math.floor(row / headDim) * headDim + 2 * i + j;
    out.set(W.subarray(row * columns, (row + 1) * columns), to * columns);
  }
  return out;
}

/** A byte-level tokenizer as llama.cpp writes it. */
async function tokenizerPairs(dir: string): Promise<readonly (readonly [string, Pair])[]> {
  const json = JSON.parse(await readFile(join(dir, 'tokenizer.json'), 'utf8')) as {
    readonly model: {
      readonly vocab: Record<string, number>;
      readonly merges: readonly (string | readonly string[])[];
    };
  };
  const words = Object.entries(json.model.vocab)
    .sort(([, a], [, b]) => a - b)
    .map(([word]) => word);
  return [
    ['tokenizer.ggml.model', value('text', 'gpt2')],
    ['tokenizer.ggml.pre', value('text', 'gpt-2')],
    ['tokenizer.ggml.tokens', list('text', words)],
    [
      'tokenizer.ggml.token_type',
      list(
        'i32',
        words.map(() => 1),
      ),
    ],
    [
      'tokenizer.ggml.merges',
      list(
        'text',
        json.model.merges.map((one) => (typeof one === 'string' ? one : one.join(' '))),
      ),
    ],
    ['tokenizer.ggml.eos_token_id', value('u32', 0)],
  ];
}
