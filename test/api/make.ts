// A small random LLaMA with a byte-level tokenizer, and texts it has something to say about, for tests of whole jobs. The
// weights are random; the head favours repeating a token, and the texts stutter, so that pruning has something to spoil.

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { createRng, type Rng } from '../../src/base/index.js';
import { type DType, fromFloat32 } from '../../src/tensor/index.js';
import { fileBytes } from '../checkpoint/make.js';

export const HIDDEN = 32;
const INTERMEDIATE = 48;
const HEADS = 4;
const KV_HEADS = 2;
const HEAD = HIDDEN / HEADS;
export const VOCABULARY = 256;
export const MAX_POSITIONS = 64;
/** Windows of the tests: tokens, that is bytes. */
export const LENGTH = 32;

const made: string[] = [];
afterAll(async () => {
  for (const dir of made.splice(0)) await rm(dir, { recursive: true, force: true });
});

/** An empty directory that goes when the tests of this file are done. */
export async function makeFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'layerwise-jobs-'));
  made.push(dir);
  return dir;
}

/** Keeps the cache of tokens out of the user's home. */
export async function useOwnCache(): Promise<void> {
  process.env.XDG_CACHE_HOME = await makeFolder();
}

export function normal(rng: Rng): number {
  return Math.sqrt(-2 * Math.log(1 - rng.uniform())) * Math.cos(2 * Math.PI * rng.uniform());
}

export type TinyOptions = {
  readonly blocks?: number;
  readonly dtype?: 'F32' | 'F16' | 'BF16';
  readonly tied?: boolean;
  /** Number of weight files. */
  readonly shards?: number;
  readonly seed?: number;
  /** Changes a tensor before it is written. */
  readonly change?: (name: string, values: Float32Array) => void;
};

type Tensor = { readonly name: string; readonly shape: readonly number[]; readonly values: Float32Array };

function makeTensors(options: TinyOptions): Tensor[] {
  const { blocks = 4, tied = false, seed = 1, change } = options;
  const rng = createRng(seed);
  const tensors: Tensor[] = [];
  const add = (name: string, shape: readonly number[], value: () => number): void => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, value);
    change?.(name, values);
    tensors.push({ name, shape, values });
  };
  add('model.embed_tokens.weight', [VOCABULARY, HIDDEN], () => normal(rng) * (tied ? 0.3 : 1));
  const embedding = tensors[0]!.values;
  for (let block = 0; block < blocks; block++) {
    const linear = (name: string, rows: number, columns: number): void =>
      add(`model.layers.${block}.${name}.weight`, [rows, columns], () => (normal(rng) * 0.9) / Math.sqrt(columns));
    linear('self_attn.q_proj', HEADS * HEAD, HIDDEN);
    linear('self_attn.k_proj', KV_HEADS * HEAD, HIDDEN);
    linear('self_attn.v_proj', KV_HEADS * HEAD, HIDDEN);
    linear('self_attn.o_proj', HIDDEN, HEADS * HEAD);
    linear('mlp.gate_proj', INTERMEDIATE, HIDDEN);
    linear('mlp.up_proj', INTERMEDIATE, HIDDEN);
    linear('mlp.down_proj', HIDDEN, INTERMEDIATE);
    add(`model.layers.${block}.input_layernorm.weight`, [HIDDEN], () => 1 + 0.2 * normal(rng));
    add(`model.layers.${block}.post_attention_layernorm.weight`, [HIDDEN], () => 1 + 0.2 * normal(rng));
  }
  add('model.norm.weight', [HIDDEN], () => 1);
  let at = 0;
  if (!tied) add('lm_head.weight', [VOCABULARY, HIDDEN], () => embedding[at++]! * 0.2);
  return tensors;
}

function weightFile(tensors: readonly Tensor[], dtype: DType): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  const parts: Uint8Array[] = [];
  let begin = 0;
  for (const { name, shape, values } of tensors) {
    const bytes = fromFloat32(values, dtype);
    header[name] = { dtype, shape, data_offsets: [begin, begin + bytes.length] };
    begin += bytes.length;
    parts.push(bytes);
  }
  return fileBytes(header, Buffer.concat(parts));
}

/** Writes a checkpoint into `dir`, which is made, and returns `dir`. */
export async function makeTiny(dir: string, options: TinyOptions = {}): Promise<string> {
  const { blocks = 4, dtype = 'F32', tied = false, shards = 1 } = options;
  await mkdir(join(dir, 'extra'), { recursive: true });
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: HIDDEN,
    intermediate_size: INTERMEDIATE,
    num_hidden_layers: blocks,
    num_attention_heads: HEADS,
    num_key_value_heads: KV_HEADS,
    vocab_size: VOCABULARY,
    max_position_embeddings: MAX_POSITIONS,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: tied,
  };
  await writeFile(join(dir, 'config.json'), JSON.stringify(config, null, 2));
  await writeFile(join(dir, 'tokenizer.json'), JSON.stringify(byteTokenizer()));
  await writeFile(join(dir, 'generation_config.json'), '{ "do_sample":true }\n');
  await writeFile(
    join(dir, 'extra', 'bytes.dat'),
    Uint8Array.from({ length: 999 }, (_, i) => i & 255),
  );
  const tensors = makeTensors(options);
  if (shards === 1) {
    await writeFile(join(dir, 'model.safetensors'), weightFile(tensors, dtype));
    return dir;
  }
  const map: Record<string, string> = {};
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-0000${shard + 1}-of-0000${shards}.safetensors`;
    // Dealt out in turn, so that every block lies in several files.
    const own = tensors.filter((_, i) => i % shards === shard);
    for (const { name } of own) map[name] = file;
    await writeFile(join(dir, file), weightFile(own, dtype));
  }
  const index = { metadata: { total_size: 0 }, weight_map: map };
  await writeFile(join(dir, 'model.safetensors.index.json'), JSON.stringify(index));
  return dir;
}

/** The block that does nothing in the checkpoints of `makeIdle`. */
export const IDLE = 1;

/** A checkpoint whose block `IDLE` writes nothing to the residual. */
export const makeIdle = (dir: string, options: TinyOptions = {}): Promise<string> =>
  makeTiny(dir, {
    ...options,
    change: (name, values) => {
      if (new RegExp(`layers\\.${IDLE}\\..*(o_proj|down_proj)`).test(name)) values.fill(0);
    },
  });

/** A byte-level BPE of 256 symbols without merges; `extra` symbols are added that no model here knows. */
export function byteTokenizer(extra: Readonly<Record<string, number>> = {}) {
  const isPlain = (byte: number): boolean => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  const symbols = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPlain(byte) ? byte : next++));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: { ...Object.fromEntries(symbols.map((symbol, id) => [symbol, id])), ...extra },
      merges: [] as string[],
    },
  };
}

/** Letters that stutter, of `length` bytes. */
export function stutter(seed: number, length: number): string {
  const rng = createRng(seed);
  let text = '';
  while (text.length < length) {
    const letter = rng.below(6) === 0 ? ' ' : String.fromCharCode(97 + rng.below(26));
    text += letter.repeat(1 + rng.below(5));
  }
  return text.slice(0, length);
}

export type Texts = { readonly calibration: string; readonly validation: string; readonly test: string };

/**
 * Three texts in `dir`: validation and test have `windows` windows, and calibration text is ample. A chunk of the engine
 * holds 64 windows of `LENGTH`, so 66 are two chunks.
 */
export async function makeTexts(dir: string, windows = 66): Promise<Texts> {
  const write = async (name: string, seed: number, length: number): Promise<string> => {
    const path = join(dir, name);
    await writeFile(path, stutter(seed, length));
    return path;
  };
  return {
    calibration: await write('calibration.txt', 101, 6000),
    validation: await write('validation.txt', 102, windows * LENGTH + 5),
    test: await write('test.txt', 103, windows * LENGTH + 7),
  };
}

/** Every file below `dir`, by relative path, as bytes in latin1, so that two trees can be compared whole. */
export async function readTree(dir: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const found of await readdir(dir, { withFileTypes: true, recursive: true })) {
    if (found.isDirectory()) continue;
    const path = join(found.parentPath, found.name);
    files[path.slice(dir.length + 1)] = (await readFile(path)).toString('latin1');
  }
  return files;
}

/** Names of the files that one tree has and the other has not, or has otherwise. */
export function differences(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => a[name] !== b[name]).sort();
}
