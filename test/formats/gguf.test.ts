// Models as GGUF: what our own reader finds in the file, tensor by tensor; the tokenizers that llama.cpp has names for; and what
// is refused. scripts/peers/export_llama_cpp.mjs lets llama.cpp run such files. LAYERWISE_EXPORT_PEERS names a folder where the
// tiny ones stay for it.

import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { exportModel } from '../../src/api/index.js';
import { silent } from '../../src/base/index.js';
import { openCheckpoint, readTensorFloat32 } from '../../src/checkpoint/index.js';
import { describeTokenizer } from '../../src/formats/gguf-tokenizer.js';
import { GGUF_FAMILIES } from '../../src/formats/index.js';
import { dequantise, type GgufHeader, readGguf } from '../../src/gguf/index.js';
import { openModel } from '../../src/model/index.js';
import { openSource } from '../../src/runs/index.js';
import { makeFolder, makeTiny, useOwnCache } from '../api/make.js';
import { codeOf } from '../checkpoint/make.js';
import { makeFamily } from '../families.js';
import { goldenCases, goldenDir, goldenFamily } from '../model/golden.js';
import { unevenConfig } from '../uneven.js';
import { makeQuantised, valueAt } from './quantised.js';
import { GGUF_CONFIGS, goldenTokenizer, makeGgufFamily, makeWithTokenizer } from './tiny.js';

let folder: string;
let count = 0;
const fresh = (): string => join(folder, `place-${count++}`);
const file = (): string => `${fresh()}.gguf`;
beforeAll(async () => {
  await useOwnCache();
  folder = process.env.LAYERWISE_EXPORT_PEERS ?? (await makeFolder());
  await mkdir(folder, { recursive: true });
});

async function read({ path, tensors }: GgufHeader, name: string): Promise<Float32Array> {
  const { offset, length, type } = tensors.get(name)!;
  return dequantise(new Uint8Array((await readFile(path)).subarray(offset, offset + length)), type);
}

/** 0 for −0: which of the two a product is does not matter. */
const plus0 = (value: number): number => value + 0;

describe('every family that llama.cpp runs like transformers', () => {
  test.each(Object.keys(GGUF_CONFIGS))('%s', async (name) => {
    const dir = await makeGgufFamily(join(folder, name), name);
    const out = join(folder, `${name}.gguf`);
    const { notes } = await exportModel({ checkpoint: dir, to: 'gguf', type: 'f16', out });
    const header = await readGguf(out);
    const { tensors } = await openCheckpoint(dir);
    const llama3 = name === 'llama-3' ? 1 : 0;
    expect(header.tensors.size).toBe(tensors.size + llama3);
    expect(header.values.get('general.architecture')).toBe(
      { mistral: 'llama', gemma3_text: 'gemma3' }[name] ?? name.split('-')[0],
    );
    expect(notes.length).toBe(name === 'mistral' || name === 'gemma3' ? 1 : 0);
    if (name === 'mistral') expect(header.values.get('llama.context_length')).toBe(20);
    if (llama3) {
      const factors = await read(header, 'rope_freqs.weight');
      expect(factors[0]).toBe(1);
      expect(factors[1]).toBeCloseTo(3.29954, 4);
      expect(factors.at(-1)).toBeCloseTo(8, 5);
    }
  });

  test('is in the list, and the others are refused', async () => {
    expect([...new Set(Object.keys(GGUF_CONFIGS).map((name) => name.split('-')[0]))].sort()).toEqual(
      [...GGUF_FAMILIES].sort(),
    );
    const others = goldenCases.filter((name) => !GGUF_FAMILIES.includes(goldenFamily(name)));
    expect(others.length).toBeGreaterThan(5);
    for (const name of others) {
      expect(await codeOf(exportModel({ checkpoint: goldenDir(name), to: 'gguf', out: file() })), name).toBe(
        'E_UNSUPPORTED_EXPORT',
      );
    }
  });

  test.each([
    ['gemma3_text', { sliding_window_pattern: 2 }],
    ['gemma3_text', { rope_local_base_freq: 20_000 }],
    ['gemma3_text', { query_pre_attn_scalar: 9 }],
    ['gemma3_text', { final_logit_softcapping: 30 }],
    ['qwen3', { attention_bias: true }],
    ['qwen2', { rope_scaling: { ...(GGUF_CONFIGS['llama-3']!.rope_scaling as object) } }],
    ['llama', { hidden_act: 'gelu' }],
  ])('of %s, %j is refused', async (name, change) => {
    const dir = await makeFamily(fresh(), name, { config: { ...GGUF_CONFIGS[name], ...change }, blocks: 6 });
    const out = file();
    expect(await codeOf(exportModel({ checkpoint: dir, to: 'gguf', out }))).toBe('E_UNSUPPORTED_EXPORT');
    expect(existsSync(out)).toBe(false);
  });
});

test('rows of q and k are neighbours where they were halves; all else has the order of the checkpoint', async () => {
  const dir = await makeTiny(fresh(), { blocks: 1, dtype: 'F16' });
  const out = file();
  await exportModel({ checkpoint: dir, to: 'gguf', type: 'f16', out });
  const [header, checkpoint] = [await readGguf(out), await openCheckpoint(dir)];
  const names: Readonly<Record<string, string>> = {
    'blk.0.attn_q.weight': 'self_attn.q_proj',
    'blk.0.attn_k.weight': 'self_attn.k_proj',
    'blk.0.attn_v.weight': 'self_attn.v_proj',
    'blk.0.attn_output.weight': 'self_attn.o_proj',
    'blk.0.ffn_down.weight': 'mlp.down_proj',
  };
  for (const [name, source] of Object.entries(names)) {
    const own = await readTensorFloat32(checkpoint, `model.layers.0.${source}.weight`);
    const made = await read(header, name);
    const columns = header.tensors.get(name)!.shape[1]!;
    const isRotated = /attn_[qk]/.test(name);
    for (let row = 0; row * columns < own.length; row++) {
      const [head, i] = [Math.floor(row / 8) * 8, row % 8];
      const from = isRotated ? head + (i % 2) * 4 + Math.floor(i / 2) : row;
      expect(made.subarray(row * columns, (row + 1) * columns)).toEqual(
        own.subarray(from * columns, (from + 1) * columns),
      );
    }
  }
  expect(await read(header, 'token_embd.weight')).toEqual(
    await readTensorFloat32(checkpoint, 'model.embed_tokens.weight'),
  );
});

test('a norm of Gemma gets its 1', async () => {
  const dir = await makeGgufFamily(fresh(), 'gemma3_text');
  const out = file();
  await exportModel({ checkpoint: dir, to: 'gguf', out });
  const own = await readTensorFloat32(await openCheckpoint(dir), 'model.layers.3.self_attn.q_norm.weight');
  expect(await read(await readGguf(out), 'blk.3.attn_q_norm.weight')).toEqual(own.map((value) => value + 1));
});

describe('a quantised checkpoint', () => {
  test.each(['q4_0', 'q8_0'] as const)('in %s keeps its weights to the last bit', async (type) => {
    const dir = fresh();
    const bits: Readonly<Record<string, number>> = {
      q_proj: 2,
      k_proj: 3,
      v_proj: 4,
      o_proj: 4,
      gate_proj: 4,
      up_proj: 3,
    };
    const grids = await makeQuantised(dir, 'F32', (name) => {
      const own = bits[name.split('.').at(-2)!];
      return own === undefined ? undefined : { bits: own, group: 32 };
    });
    const out = file();
    const result = await exportModel({ checkpoint: dir, to: 'gguf', type, out });
    expect(result.types).toContainEqual({ type: `${type.toUpperCase()}, exact`, tensors: 6 });
    const header = await readGguf(out);
    for (const [name, module] of [
      ['attn_v', 'self_attn.v_proj'],
      ['ffn_gate', 'mlp.gate_proj'],
      ['ffn_up', 'mlp.up_proj'],
    ] as const) {
      const grid = grids.get(`model.layers.0.${module}.weight`)!;
      const expected = Float32Array.from(grid.q, (_, i) => valueAt(grid, 32, i));
      expect((await read(header, `blk.0.${name}.weight`)).map(plus0)).toEqual(expected.map(plus0));
    }
    const [q, grid] = [await read(header, 'blk.0.attn_q.weight'), grids.get('model.layers.0.self_attn.q_proj.weight')!];
    expect(q.subarray(32, 64).map(plus0)).toEqual(
      Float32Array.from({ length: 32 }, (_, i) => valueAt(grid, 32, 4 * 32 + i) + 0),
    );
    expect(result.zeros!.kept).toBe(result.zeros!.before);
  });

  test('of 8 bits keeps its integers in Q8_0; other types round again and say so', async () => {
    const dir = fresh();
    const grids = await makeQuantised(dir, 'F32', (name) =>
      name.includes('v_proj') ? { bits: 8, group: 32 } : undefined,
    );
    const out = file();
    const exact = await exportModel({ checkpoint: dir, to: 'gguf', type: 'q8_0', out });
    expect(exact.notes.join()).toMatch(/float32 scales of 1 8-bit/);
    const grid = [...grids.values()][0]!;
    const made = await read(await readGguf(out), 'blk.0.attn_v.weight');
    made.forEach((value, i) => {
      expect(Math.abs(value - valueAt(grid, 32, i))).toBeLessThanOrEqual(Math.abs(value) / 2048 + 1e-12);
    });
    const { notes } = await exportModel({ checkpoint: dir, to: 'gguf', type: 'q4_0', out: file() });
    expect(notes.join()).toMatch(/rounded a second time/);
  });
});

describe('types', () => {
  test('rows that are no multiple of 256 get Q8_0, those of no multiple of 32 F16, and zeros are counted', async () => {
    const dir = await makeTiny(fresh(), {
      blocks: 1,
      change: (name, values) => {
        if (name.includes('_proj')) for (let i = 0; i < values.length; i += 2) values[i] = 0;
      },
    });
    const out = file();
    const { types, notes, zeros } = await exportModel({ checkpoint: dir, to: 'gguf', type: 'q4_k', out });
    expect(types).toEqual([
      { type: 'Q8_0', tensors: 6 },
      { type: 'F16', tensors: 1 },
    ]);
    expect(notes.join()).toMatch(/7 of 7 linears are Q8_0 or F16/);
    expect(zeros!.kept).toBe(zeros!.before);
    const { tensors } = await readGguf(out);
    expect(tensors.get('blk.0.ffn_down.weight')!.type.name).toBe('F16');
    expect(tensors.get('output_norm.weight')!.type.name).toBe('F32');
    expect(tensors.get('token_embd.weight')!.type.name).toBe('Q8_0');
  });

  test('and options are checked', async () => {
    const dir = await makeTiny(fresh(), { blocks: 1 });
    const refusal = (more: object) => codeOf(exportModel({ checkpoint: dir, to: 'gguf', out: file(), ...more }));
    expect(await refusal({ type: 'q5_k' })).toBe('E_OPTION_TYPE');
    expect(await refusal({ bits: 4 })).toBe('E_OPTION_CONFLICT');
    expect(await refusal({ to: 'hf', type: 'f16' })).toBe('E_OPTION_CONFLICT');
    expect(await refusal({ out: join(dir, 'inside.gguf') })).toBe('E_OPTION_OUT');
    const broken = await makeTiny(fresh(), {
      blocks: 1,
      change: (name, values) => {
        if (name.includes('up_proj')) values[5] = Number.NaN;
      },
    });
    expect(await refusal({ checkpoint: broken })).toBe('E_NUMERIC_WEIGHT');
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('tokenizers', () => {
  const describeIn = async (tokenizer: object, config?: object, rows = 512) => {
    const dir = fresh();
    await mkdir(dir);
    await writeFile(join(dir, 'tokenizer.json'), JSON.stringify(tokenizer));
    if (config) await writeFile(join(dir, 'tokenizer_config.json'), JSON.stringify(config));
    const { pairs, notes } = await describeTokenizer(dir, rows, { bos: undefined, eos: undefined });
    return { notes, values: new Map(pairs.map(([key, { value }]) => [key.replace('tokenizer.ggml.', ''), value])) };
  };

  test.each([
    ['gpt2', 'gpt2', 'gpt-2', false],
    ['llama3', 'gpt2', 'llama-bpe', true],
    ['llama2', 'llama', 'default', true],
    ['llama2-first', 'llama', 'default', true],
    ['mistral', 'llama', 'default', true],
    ['gemma', 'llama', 'default', true],
  ])('%s is %s, %s', async (name, model, pre, bos) => {
    const { values } = await describeIn(goldenTokenizer(name));
    expect([values.get('model'), values.get('pre'), values.get('add_bos_token')]).toEqual([model, pre, bos]);
    expect((values.get('tokens') as string[]).length).toBe(512);
    if (model !== 'llama') return;
    expect(values.get('add_space_prefix')).toBe(name !== 'gemma');
    expect((values.get('token_type') as number[]).slice(0, 4)).toEqual([2, 3, 3, 6]);
  });

  test.each(['deepseek', 'falcon', 'gpt-oss', 'bloom', 'albert', 'bert', 'gpt2-prefix', 'llama2-some-bytes'])(
    '%s is refused',
    async (name) => {
      expect(await codeOf(describeIn(goldenTokenizer(name)))).toBe('E_UNSUPPORTED_EXPORT');
    },
  );

  test('a pre-tokenizer that differs in one character is refused, and llama3’s without ignore_merges', async () => {
    const tokenizer = goldenTokenizer('llama3');
    const text = JSON.stringify(tokenizer).replace('{1,3}', '{1,2}');
    expect(await codeOf(describeIn(JSON.parse(text)))).toBe('E_UNSUPPORTED_EXPORT');
    const model = { ...(tokenizer.model as object), ignore_merges: false };
    expect(await codeOf(describeIn({ ...tokenizer, model }))).toBe('E_UNSUPPORTED_EXPORT');
  });

  test('has its template, its named tokens, and a row for each token', async () => {
    const { values } = await describeIn(
      goldenTokenizer('gpt2'),
      {
        eos_token: '<|endoftext|>',
        chat_template: [
          { name: 'tool', template: 'no' },
          { name: 'default', template: 'yes' },
        ],
      },
      333,
    );
    expect(values.get('tokenizer.chat_template')).toBe('yes');
    expect(values.get('eos_token_id')).toBe(330);
    expect((values.get('token_type') as number[]).slice(329)).toEqual([1, 3, 5, 5]);
    expect((values.get('tokens') as string[]).slice(330)).toEqual(['<|endoftext|>', '[PAD331]', '[PAD332]']);
    expect(await codeOf(describeIn(goldenTokenizer('gpt2'), {}, 330))).toBe('E_UNSUPPORTED_EXPORT');
  });

  test.each(['gpt2', 'llama3', 'llama2', 'gemma', 'mistral'])('%s goes into a file', async (name) => {
    const dir = await makeWithTokenizer(join(folder, `tokenizer-${name}`), goldenTokenizer(name));
    const out = join(folder, `tokenizer-${name}.gguf`);
    await exportModel({ checkpoint: dir, to: 'gguf', type: 'f16', out });
    expect((await readGguf(out)).values.get('tokenizer.ggml.tokens')).toHaveLength(512);
  });
});

test('the same checkpoint and options give the same bytes', async () => {
  const dir = await makeTiny(fresh(), { blocks: 1 });
  const [a, b] = [file(), file()];
  for (const out of [a, b]) await exportModel({ checkpoint: dir, to: 'gguf', type: 'q4_0', out });
  expect(await readFile(a)).toEqual(await readFile(b));
});

describe('blocks of unequal width', () => {
  const uneven = (family: string, more: object = {}) =>
    makeFamily(fresh(), family, { config: { ...unevenConfig(family), ...more }, blocks: 3, dtype: 'F16' });

  test.each([{}, { tie_word_embeddings: true }])(
    'are the architecture deci, and come back the same: %j',
    async (more) => {
      const name = join(folder, 'tie_word_embeddings' in more ? 'uneven-tied' : 'uneven');
      const config = { ...unevenConfig('llama'), ...more };
      const dir = await makeFamily(name, 'llama', { config, blocks: 3, dtype: 'F16' });
      const out = `${name}.gguf`;
      await exportModel({ checkpoint: dir, to: 'gguf', type: 'f16', out });
      const { values, tensors } = await readGguf(out);
      expect(values.get('general.architecture')).toBe('deci');
      expect(values.get('deci.attention.head_count')).toEqual(Int32Array.of(4, 2, 3));
      expect(values.get('deci.attention.head_count_kv')).toEqual(Int32Array.of(2, 2, 1));
      expect(values.get('deci.feed_forward_length')).toEqual(Int32Array.of(48, 35, 17));
      expect(values.get('deci.attention.key_length')).toBe(8);
      expect(tensors.has('output.weight')).toBe(true);
      const [own, back] = [await openModel(dir), await openSource(out, silent)];
      expect(back.config.widths).toEqual(own.config.widths);
      for (const name of own.checkpoint.tensors.keys()) {
        expect(await readTensorFloat32(back.checkpoint, name), name).toEqual(
          await readTensorFloat32(own.checkpoint, name),
        );
      }
    },
  );

  test.each([
    ['qwen2', {}],
    ['qwen3', {}],
    ['gemma3_text', {}],
    ['llama', { attention_bias: true }],
    ['llama', { mlp_bias: true }],
  ])('of %s with %j are refused', async (family, more) => {
    const out = file();
    expect(await codeOf(exportModel({ checkpoint: await uneven(family, more), to: 'gguf', out }))).toBe(
      'E_UNSUPPORTED_EXPORT',
    );
    expect(existsSync(out)).toBe(false);
  });

  test.each([
    ['attention.head_count', [4, 0, 3], /3 whole numbers of at least 1/],
    ['attention.head_count_kv', [2, 3, 1], /a divisor of 2 heads/],
    ['feed_forward_length', [48, 35, -1], /3 whole numbers/],
    ['block_count', 2, /2 whole numbers of at least 1, one for each block, got a list of 3/],
  ])('%s of %j in a file is refused', async (key, value, message) => {
    const out = file();
    await exportModel({ checkpoint: await uneven('llama'), to: 'gguf', type: 'f16', out });
    const bytes = await readFile(out);
    // After the key: its type, and of a list the type of its elements and their number.
    const at = bytes.indexOf(`deci.${key}`) + `deci.${key}`.length + 4;
    if (typeof value === 'number') bytes.writeUInt32LE(value, at);
    else for (const [i, one] of value.entries()) bytes.writeInt32LE(one, at + 12 + 4 * i);
    await writeFile(out, bytes);
    const error = await openSource(out, silent).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'E_CHECKPOINT_GGUF', message: expect.stringMatching(message) });
  });
});
