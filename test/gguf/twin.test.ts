// The twin of a file that was converted from a checkpoint is that checkpoint: its tensors bit for bit, its numbers, its
// tokens. What would change the numbers and is not read is refused by name, before anything is written.

import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ProgressEvent } from '../../src/base/index.js';
import { openCheckpoint, readTensor, readTensorFloat32 } from '../../src/checkpoint/index.js';
import { BLOCK_TYPES, type BlockTypeName, dequantise, openTwin } from '../../src/gguf/index.js';
import { openModel } from '../../src/model/index.js';
import { fromFloat32 } from '../../src/tensor/index.js';
import { loadTokenizer } from '../../src/text/index.js';
import { codeOf, makeDir } from '../checkpoint/make.js';
import { FAMILY_CONFIGS, makeFamily } from '../families.js';
import { type ConvertOptions, convert, ggufBytes, list, type Pair, specOf, value } from './make.js';

let folder: string;
let cache: string;
let count = 0;
beforeAll(async () => {
  folder = await makeDir();
  cache = join(folder, 'cache');
});

const FAMILIES = ['llama', 'qwen2', 'qwen3', 'gemma3_text'] as const;

/** Numbers that stay what they are when 1 is added and taken away again. */
const coarse = (_: string, values: Float32Array): void => {
  values.forEach((one, i) => {
    values[i] = Math.round(one * 4096) / 4096;
  });
};

type Made = { readonly dir: string; readonly file: string };

async function make(
  family: string,
  options: ConvertOptions = {},
  config: object = {},
  dtype: 'F32' | 'F16' | 'BF16' = 'F32',
): Promise<Made> {
  const dir = join(folder, `${family}-${count}`);
  const whole = { ...FAMILY_CONFIGS[family], intermediate_size: 64, rms_norm_eps: 1e-5, ...config };
  await makeFamily(dir, family, { config: whole, change: coarse, dtype });
  return { dir, file: await convert(dir, join(folder, `${family}-${count++}.gguf`), options) };
}

const open = async (file: string): Promise<string> => (await openTwin(file, cache)).dir;

describe.each(FAMILIES)('%s', (family) => {
  test('the twin is the checkpoint that the file was made from', async () => {
    const { dir, file } = await make(family);
    const [source, twin] = [await openModel(dir), await openModel(await open(file))];
    expect([...twin.checkpoint.tensors.keys()].sort()).toEqual([...source.checkpoint.tensors.keys()].sort());
    for (const { name, shape, dtype } of source.checkpoint.tensors.values()) {
      expect(twin.checkpoint.tensors.get(name)).toMatchObject({ shape, dtype });
      expect(await readTensor(twin.checkpoint, name)).toEqual(await readTensor(source.checkpoint, name));
    }
    expect(twin.config).toEqual(source.config);
    expect(twin.notes).toEqual([]);
    const words = 'Two words, and 12 more: "ä" \u2581 😀\n';
    const [mine, theirs] = [await loadTokenizer(twin.checkpoint.dir), await loadTokenizer(dir)];
    expect([...mine.encode(words)]).toEqual([...theirs.encode(words)]);
    expect(mine.decode([...mine.encode(words)], true)).toBe(words);
  });
});

/** Blocks of random bits with scales of 1/64 to 1/32, and their numbers. */
function randomBlocks(type: BlockTypeName, count_: number): Uint8Array {
  const { weights, bytes } = BLOCK_TYPES[type];
  const out = Uint8Array.from({ length: (count_ / weights) * bytes }, (_, i) => (i * 2654435761) >>> 13);
  const halves = { Q8_0: [0], Q4_1: [0, 2], Q4_K: [0, 2], Q6_K: [208] }[type as string] ?? [];
  for (let at = 0; at < out.length; at += bytes) {
    for (const half of halves) out.set([at & 255, 0x24 + ((at >> 4) & 3)], at + half);
  }
  return out;
}

test('quantised matrices become F16, each its own type', async () => {
  const type = (name: string): BlockTypeName =>
    /down_proj/.test(name) ? 'Q4_K' : /up_proj/.test(name) ? 'Q4_1' : /embed|lm_head/.test(name) ? 'Q6_K' : 'Q8_0';
  const stored = new Map<string, Uint8Array>();
  const encode = (name: string, W: Float32Array, as: BlockTypeName): Uint8Array => {
    stored.set(name, randomBlocks(as, W.length));
    return stored.get(name)!;
  };
  const sizes = { hidden_size: 256, intermediate_size: 256 };
  const { file } = await make('llama', { type, encode }, sizes);
  const twin = await openCheckpoint(await open(file));
  expect(twin.config.torch_dtype).toBe('float16');
  expect([...twin.tensors.values()].every(({ dtype }) => dtype === 'F16')).toBe(true);
  for (const [name, blocks] of stored) {
    let W: Float32Array = dequantise(blocks, BLOCK_TYPES[type(name)]);
    expect(new Set(W).size).toBeGreaterThan(30);
    if (/[qk]_proj/.test(name)) {
      // Four or two heads of 64: row 2i + j of the file is row 32j + i.
      const rows = Array.from({ length: W.length / 256 }, (_, row) => {
        const [head, j, i] = [Math.floor(row / 64), Math.floor((row % 64) / 32), row % 32];
        return W.subarray((head * 64 + 2 * i + j) * 256, (head * 64 + 2 * i + j + 1) * 256);
      });
      W = Float32Array.from(rows.flatMap((row) => [...row]));
    }
    expect(await readTensor(twin, name)).toEqual(fromFloat32(W, 'F16'));
  }
});

test.each<[types: readonly [BlockTypeName, BlockTypeName], dtype: string]>([
  [['F32', 'F32'], 'F32'],
  [['F16', 'F16'], 'F16'],
  [['BF16', 'BF16'], 'BF16'],
  [['BF16', 'F16'], 'F32'],
  [['F32', 'BF16'], 'F32'],
])('matrices of %j become %s', async ([one, other], dtype) => {
  const { dir, file } = await make('qwen2', { type: (name) => (/mlp/.test(name) ? one : other) }, {}, 'BF16');
  const [source, twin] = [await openCheckpoint(dir), await openCheckpoint(await open(file))];
  expect(new Set([...twin.tensors.values()].map((tensor) => tensor.dtype))).toEqual(new Set([dtype]));
  for (const name of source.tensors.keys()) {
    const W = await readTensorFloat32(source, name);
    const asStored = /mlp/.test(name) ? one : other;
    const stored = asStored === 'F16' ? await readTensorFloat32(twin, name) : W;
    expect(stored).toEqual(await readTensorFloat32(twin, name));
  }
});

describe('weights that F16 cannot hold', () => {
  const encode =
    (largest: number) =>
    (name: string, W: Float32Array, type: BlockTypeName): Uint8Array => {
      if (!/layers\.1\.mlp\.up/.test(name)) return fromFloat32(W, 'F32');
      expect(type).toBe('Q8_0');
      const blocks = randomBlocks('Q8_0', W.length);
      blocks.set(fromFloat32(Float32Array.of(largest), 'F16'), 34);
      blocks.fill(127, 36, 68);
      return blocks;
    };
  const type = (name: string): BlockTypeName => (/layers\.1\.mlp\.up/.test(name) ? 'Q8_0' : 'F32');

  test('make the twin F32, and a note says so', async () => {
    const { file } = await make('llama', { type, encode: encode(600) });
    const notes: string[] = [];
    const { dir } = await openTwin(file, cache, (event) => event.kind === 'note' && notes.push(event.text));
    const twin = await openCheckpoint(dir);
    expect(twin.config.torch_dtype).toBe('float32');
    const W = await readTensorFloat32(twin, 'model.layers.1.mlp.up_proj.weight');
    expect(Math.max(...W)).toBe(600 * 127);
    expect(notes.join()).toContain('F16 cannot hold');
  });

  test('are refused where they are infinite', async () => {
    const { file } = await make('llama', { type, encode: encode(Number.POSITIVE_INFINITY) });
    await expect(open(file)).rejects.toThrow(/tensor "blk\.1\.ffn_up\.weight": expected finite weights, got Infinity/);
    expect((await readdir(cache)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('the cache', () => {
  test('makes a twin once, whole, and one for each content', async () => {
    const { file } = await make('llama');
    const own = join(folder, 'own');
    const [a, b] = await Promise.all([openTwin(file, own), openTwin(file, own)]);
    expect(a).toEqual(b);
    expect(await readdir(own)).toHaveLength(1);
    const { mtimeMs } = await stat(join(a.dir, 'model.safetensors'));
    const events: ProgressEvent[] = [];
    await openTwin(file, own, (event) => events.push(event));
    expect(events.flatMap((event) => (event.kind === 'stage' ? [event.stage] : []))).toEqual([`hashing ${file}`]);
    expect((await stat(join(a.dir, 'model.safetensors'))).mtimeMs).toBe(mtimeMs);
    const bytes = await readFile(file);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(file, bytes);
    expect((await openTwin(file, own)).dir).not.toBe(a.dir);
    expect(await readdir(own)).toHaveLength(2);
  });

  test('clears away what a killed process left', async () => {
    const { file } = await make('qwen3');
    const { dir } = await openTwin(file, join(folder, 'first'));
    const left = dir.replace('first', 'second');
    await mkdir(`${left}.tmp`, { recursive: true });
    await writeFile(join(`${left}.tmp`, 'stray.safetensors'), 'x');
    await writeFile(`${left}.lock`, JSON.stringify({ host: 'elsewhere', pid: 1, began: '' }));
    await utimes(`${left}.lock`, 0, 0);
    const again = await openTwin(file, join(folder, 'second'));
    expect(await readdir(again.dir)).toEqual(await readdir(dir));
    expect(await readdir(join(folder, 'second'))).toHaveLength(1);
  });

  test('says how far it is', async () => {
    const { file } = await make('llama');
    const stages = new Map<string, { total: number; done: number }>();
    let current = '';
    await openTwin(file, join(folder, 'progress'), (event) => {
      if (event.kind === 'stage') {
        current = event.stage;
        stages.set(current, { total: event.total!, done: 0 });
      }
      if (event.kind === 'advance') stages.get(current)!.done += event.by!;
    });
    expect(stages.size).toBe(2);
    for (const { total, done } of stages.values()) expect(done).toBe(total);
  });
});

describe('what would change the numbers is refused by name', () => {
  const refused = async (family: string, options: ConvertOptions, config: object = {}): Promise<string> => {
    const { file } = await make(family, options, config);
    const before = await readdir(cache).catch(() => []);
    const error = await open(file).then(
      () => undefined,
      (thrown: Error & { code: string }) => thrown,
    );
    expect(await readdir(cache).catch(() => [])).toEqual(before);
    expect(error?.message).toContain(file);
    return `${error?.code} ${error?.message}`;
  };
  const extra = (name: string) => ({ name, type: 0, dimensions: [32], data: new Uint8Array(128) });
  const words = (...more: string[]) => [...Array.from({ length: 256 - more.length }, (_, i) => `t${i}`), ...more];

  test.each<[family: string, key: string, pair: Pair | undefined, message: RegExp]>([
    ['llama', 'general.architecture', value('text', 'mamba'), /UNSUPPORTED.*architecture "mamba"/],
    ['llama', 'general.architecture', undefined, /UNSUPPORTED.*architecture null/],
    ['llama', 'general.type', value('text', 'adapter'), /UNSUPPORTED.*type "adapter"/],
    ['llama', 'split.count', value('u16', 4), /UNSUPPORTED.*one of 4 parts.*merge them/],
    ['llama', 'llama.expert_count', value('u32', 8), /UNSUPPORTED.*llama\.expert_count = 8/],
    ['llama', 'llama.attention.sliding_window', value('u32', 8), /UNSUPPORTED.*llama\.attention\.sliding_window = 8/],
    ['qwen2', 'qwen2.final_logit_softcapping', value('f32', 30), /UNSUPPORTED.*softcapping = 30/],
    ['gemma3_text', 'gemma3.attn_logit_softcapping', value('f32', 50), /UNSUPPORTED.*softcapping = 50/],
    ['qwen3', 'qwen3.brand_new', value('text', 'x'), /UNSUPPORTED.*qwen3\.brand_new = "x"/],
    ['llama', 'llama.rope.scaling.type', value('text', 'yarn'), /UNSUPPORTED.*scaling\.type "yarn"/],
    ['llama', 'llama.rope.dimension_count', value('u32', 4), /UNSUPPORTED.*dimension_count 4/],
    ['llama', 'llama.attention.value_length', value('u32', 4), /UNSUPPORTED.*value_length 4/],
    ['llama', 'llama.attention.head_count_kv', list('i32', [2, 1]), /UNSUPPORTED.*head_count_kv with 2 values/],
    ['llama', 'llama.attention.head_count_kv', value('u32', 3), /CHECKPOINT.*divisor of 4/],
    ['llama', 'llama.block_count', value('u32', 2 ** 31 - 1), /CHECKPOINT.*2147483647 blocks/],
    ['llama', 'llama.block_count', value('u32', 3), /CHECKPOINT.*blk\.2\.attn_norm\.weight/],
    ['llama', 'llama.block_count', value('u32', 1), /UNSUPPORTED.*tensor "blk\.1\./],
    ['llama', 'llama.block_count', value('text', '2'), /CHECKPOINT.*block_count/],
    ['llama', 'llama.feed_forward_length', value('u32', 48), /CHECKPOINT.*ffn_gate.*shape \[48,32\]/],
    ['llama', 'llama.embedding_length', undefined, /CHECKPOINT.*embedding_length/],
    ['llama', 'llama.attention.layer_norm_rms_epsilon', value('f32', 0), /CHECKPOINT.*epsilon above 0/],
    ['llama', 'llama.attention.layer_norm_rms_epsilon', value('f32', Number.NaN), /CHECKPOINT.*epsilon to be a number/],
    ['llama', 'tokenizer.ggml.model', value('text', 't5'), /UNSUPPORTED.*tokenizer\.ggml\.model "t5"/],
    [
      'llama',
      'tokenizer.ggml.pre',
      value('text', 'tekken'),
      /UNSUPPORTED.*expected default, gpt-2, llama-bpe.*pre "tekken"/,
    ],
    ['llama', 'tokenizer.ggml.precompiled_charsmap', list('u8', [1]), /UNSUPPORTED.*charsmap = a list/],
    ['llama', 'tokenizer.ggml.remove_extra_whitespaces', value('bool', true), /UNSUPPORTED.*whitespaces = true/],
    ['llama', 'tokenizer.ggml.add_space_prefix', value('bool', true), /UNSUPPORTED.*add_space_prefix/],
    [
      'llama',
      'tokenizer.ggml.tokens',
      list('text', words('t0')),
      /CHECKPOINT.*tokens that differ.*"t0" as 0 and as 255/,
    ],
    ['llama', 'tokenizer.ggml.tokens', list('text', [...words(), 'x']), /CHECKPOINT.*1 to 256 tokens/],
    ['llama', 'tokenizer.ggml.token_type', list('i32', [1]), /CHECKPOINT.*token_type/],
    [
      'llama',
      'tokenizer.ggml.token_type',
      list(
        'i32',
        words().map(() => 7),
      ),
      /CHECKPOINT.*token_type/,
    ],
    ['llama', 'tokenizer.ggml.merges', list('text', ['a bc']), /CHECKPOINT.*merge 0/],
    ['llama', 'tokenizer.ggml.eos_token_id', value('u32', 256), /CHECKPOINT.*eos_token_id below 256/],
    ['llama', 'tokenizer.ggml.add_bos_token', value('bool', true), /CHECKPOINT.*bos_token_id/],
  ])('%s with %s', async (family, key, pair, message) => {
    expect(await refused(family, { pairs: [[key, pair]] })).toMatch(message);
  });

  test.each<[family: string, tensor: string]>([
    ['llama', 'blk.0.attn_sinks.weight'],
    ['llama', 'blk.0.attn_v.bias'],
    ['qwen2', 'blk.1.attn_output.bias'],
    ['qwen3', 'rope_freqs.weight'],
    ['gemma3_text', 'blk.0.attn_q.bias'],
    ['llama', 'blk.2.attn_norm.weight'],
  ])('%s with a tensor %s', async (family, name) => {
    expect(await refused(family, { more: [extra(name)] })).toMatch(
      new RegExp(`E_UNSUPPORTED_GGUF .*tensor "${name.replaceAll('.', '\\.')}"`),
    );
  });

  test('quantisation of the first versions', async () => {
    const options = {
      type: (): BlockTypeName => 'Q8_0',
      encode: (_: string, W: Float32Array) => randomBlocks('Q8_0', W.length),
      pairs: [['general.quantization_version', value('u32', 1)]] as const,
    };
    expect(await refused('llama', options)).toMatch(/UNSUPPORTED.*quantisation version 1/);
  });
});

test('values that change nothing pass, and defaults are those of llama.cpp', async () => {
  const pairs = [
    ['llama.expert_count', value('u32', 0)],
    ['llama.attention.causal', value('bool', true)],
    ['llama.vocab_size', value('u32', 256)],
    ['llama.rope.freq_base', undefined],
    ['llama.rope.dimension_count', undefined],
    ['llama.attention.key_length', undefined],
    ['llama.attention.value_length', undefined],
    ['general.name', value('text', 'x')],
    ['someone.else', list('u64', [1])],
    ['tokenizer.ggml.padding_token_id', value('u32', 0xffffffff)],
  ] as const;
  const { dir, file } = await make('llama', { pairs });
  const [twin, source] = [await openModel(await open(file)), await openModel(dir)];
  expect(twin.config).toEqual(source.config);
});

describe('rope scaling', () => {
  const scalingOf = async (options: ConvertOptions, config: object = {}) =>
    (await openCheckpoint(await open((await make('llama', options, config)).file))).config.rope_scaling;

  test('none and linear, in both notations', async () => {
    const [type, factor] = ['llama.rope.scaling.type', 'llama.rope.scaling.factor'];
    expect(await scalingOf({ pairs: [[type, value('text', 'none')]] })).toBeNull();
    const linear = { rope_type: 'linear', type: 'linear', factor: 4 };
    expect(
      await scalingOf({
        pairs: [
          [type, value('text', 'linear')],
          [factor, value('f32', 4)],
        ],
      }),
    ).toEqual(linear);
    expect(await scalingOf({ pairs: [['llama.rope.scale_linear', value('f32', 4)]] })).toEqual(linear);
  });

  /** As llama.cpp's converter computes them, in float32. */
  function divisors(headDim: number, theta: number, factor: number, low: number, high: number, context: number) {
    const f = Math.fround;
    return Float32Array.from({ length: headDim / 2 }, (_, i) => {
      const wavelength = f(f(2 * Math.PI) / f(1 / f(theta ** ((2 * i) / headDim))));
      if (wavelength < context / high) return 1;
      if (wavelength > context / low) return factor;
      const smooth = f(f(f(context / wavelength) - low) / f(high - low));
      return f(1 / f(f(f(1 - smooth) / factor) + smooth));
    });
  }
  const frequencies = (values: Float32Array) => ({
    name: 'rope_freqs.weight',
    type: 0,
    dimensions: [values.length],
    data: fromFloat32(values, 'F32'),
  });
  const large = { head_dim: 128, rope_theta: 500_000 };

  test.each([
    [8, 8192],
    [32, 8192],
    [4, 2048],
  ])('LLaMA 3 by its divisors: factor %d, %d positions', async (factor, context) => {
    const more = [frequencies(divisors(128, 500_000, factor, 1, 4, context))];
    expect(await scalingOf({ more }, large)).toEqual({
      rope_type: 'llama3',
      factor,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: context,
    });
  });

  test('divisors of 1 are none; others are refused', async () => {
    expect(await scalingOf({ more: [frequencies(new Float32Array(64).fill(1))] }, large)).toBeNull();
    const others = divisors(128, 500_000, 8, 1, 4, 8192);
    others[40]! *= 1.0001;
    for (const wrong of [others, others.subarray(0, 32), divisors(128, 500_000, 8, 1, 8, 8192)]) {
      await expect(scalingOf({ more: [frequencies(wrong)] }, large)).rejects.toThrow(/rope_freqs\.weight with/);
    }
  });
});

test('LLaMA with biases', async () => {
  for (const config of [{ attention_bias: true }, { attention_bias: true, mlp_bias: true }]) {
    const { dir, file } = await make('llama', {}, config);
    const [source, twin] = [await openModel(dir), await openModel(await open(file))];
    expect(twin.config).toEqual(source.config);
    for (const name of source.checkpoint.tensors.keys()) {
      expect(await readTensor(twin.checkpoint, name)).toEqual(await readTensor(source.checkpoint, name));
    }
  }
});

test('any header of a model with bytes changed: a twin or a typed error', async () => {
  const { dir } = await make('qwen3');
  const spec = await specOf(dir);
  const sound = ggufBytes(spec);
  const header = ggufBytes({ ...spec, tensors: [] }).length;
  const file = join(folder, 'changed.gguf');
  for (let i = 0; i < 200; i++) {
    const bytes = Buffer.from(sound);
    bytes[(i * 7919) % header] = (i * 31) & 255;
    await writeFile(file, bytes);
    const twin = openTwin(file, join(folder, 'changed')).then(async ({ dir: twinDir }) => {
      await openModel(twinDir);
      await loadTokenizer(twinDir);
    });
    expect(await codeOf(twin)).toMatch(/^(no error|E_(CHECKPOINT|UNSUPPORTED|TEXT)_)/);
  }
});
