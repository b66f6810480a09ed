// What config.json says of the head against what is stored: the right model is the one that says it plainly.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { evaluate, inspect, pack } from '../../src/api/index.js';
import { openModel } from '../../src/model/index.js';
import { LENGTH, makeFolder, makeTexts, makeTiny, useOwnCache } from '../api/make.js';
import { fileBytes } from '../checkpoint/make.js';

const EMBEDDING = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';

let folder: string;
let text: string;
let count = 0;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  text = (await makeTexts(folder, 4)).validation;
});

type Parts = Map<string, { readonly dtype: string; readonly shape: readonly number[]; readonly bytes: Buffer }>;

/** A tiny checkpoint with what config.json says of its head, and its tensors changed. */
async function make(tied: boolean | undefined, change: (parts: Parts) => void = () => {}): Promise<string> {
  const dir = await makeTiny(join(folder, `model-${count++}`), { blocks: 2 });
  const file = await readFile(join(dir, 'model.safetensors'));
  const end = 8 + Number(file.readBigUInt64LE());
  const header = JSON.parse(file.subarray(8, end).toString()) as Record<string, never>;
  const parts: Parts = new Map();
  for (const [name, { dtype, shape, data_offsets: at }] of Object.entries(header)) {
    if (name !== '__metadata__') {
      parts.set(name, { dtype, shape, bytes: file.subarray(end + Number(at[0]), end + Number(at[1])) });
    }
  }
  change(parts);
  let begin = 0;
  const entries = [...parts].map(([name, { dtype, shape, bytes }]) => {
    const entry = { dtype, shape, data_offsets: [begin, begin + bytes.length] };
    begin += bytes.length;
    return [name, entry] as const;
  });
  const bytes = fileBytes(Object.fromEntries(entries), Buffer.concat([...parts.values()].map((one) => one.bytes)));
  await writeFile(join(dir, 'model.safetensors'), bytes);
  const config = JSON.parse(await readFile(join(dir, 'config.json'), 'utf8'));
  await writeFile(join(dir, 'config.json'), JSON.stringify({ ...config, tie_word_embeddings: tied }));
  return dir;
}

async function score(checkpoint: string) {
  const notes: string[] = [];
  const onProgress = (event: { kind: string; text?: string }): void => {
    if (event.kind === 'note') notes.push(event.text!);
  };
  const { text: result } = await evaluate({ checkpoint, text, sequenceLength: LENGTH, threads: 1, onProgress });
  return { perplexity: result!.perplexity, notes };
}

const withoutHead = (parts: Parts): void => void parts.delete(HEAD);
const headIsEmbedding = (parts: Parts): void => void parts.set(HEAD, parts.get(EMBEDDING)!);
const onlyHead = (parts: Parts): void => {
  parts.set(HEAD, parts.get(EMBEDDING)!);
  parts.delete(EMBEDDING);
};

describe('config.json says that the head is tied', () => {
  test('a stored head of other numbers is used, as transformers 5 does, and told', async () => {
    const untied = await score(await make(false));
    const dir = await make(true);
    const said = await score(dir);
    expect(said.perplexity).toBe(untied.perplexity);
    expect(untied.notes).toEqual([]);
    expect(said.notes.join()).toMatch(/tie_word_embeddings.*lm_head\.weight.*other numbers.*transformers 5/);
    const report = await inspect(dir);
    expect(report.tied).toBe(false);
    expect(report.notes).toEqual(said.notes);
    // It is another model than the tied one.
    expect((await score(await make(true, withoutHead))).perplexity).not.toBe(untied.perplexity);
  });

  test('one zero that is negative is no difference, one bit is', async () => {
    const changed = async (from: number, to: number) => {
      const dir = await make(true, (parts) => {
        headIsEmbedding(parts);
        for (const [name, value] of [
          [EMBEDDING, from],
          [HEAD, to],
        ] as const) {
          const bytes = Buffer.from(parts.get(name)!.bytes);
          bytes.writeFloatLE(value, bytes.length - 4);
          parts.set(name, { ...parts.get(name)!, bytes });
        }
      });
      return (await openModel(dir)).config.tied;
    };
    expect(await changed(0, -0)).toBe(true);
    expect(await changed(1, 1 + 2 ** -23)).toBe(false);
    expect(await changed(Number.NaN, Number.NaN)).toBe(false);
  });

  test('the pair may be stored under either name, or under both', async () => {
    const usual = await score(await make(true, withoutHead));
    const plain = await openModel(await make(true, withoutHead));
    for (const change of [headIsEmbedding, onlyHead]) {
      const dir = await make(true, change);
      expect(await score(dir)).toEqual({ perplexity: usual.perplexity, notes: [] });
      const { config, parameters } = await openModel(dir);
      expect(config.tied).toBe(true);
      expect(parameters).toBe(plain.parameters);
    }
  });

  test('what is packed is the model that is run', async () => {
    for (const [change, tied] of [
      [() => {}, false],
      [headIsEmbedding, true],
      [onlyHead, true],
    ] as const) {
      const dir = await make(true, change);
      const out = join(folder, `packed-${count++}.lw`);
      expect((await pack({ checkpoint: dir, out, values: 'f32' })).tied).toBe(tied);
      expect((await score(out)).perplexity / (await score(dir)).perplexity).toBeCloseTo(1, 5);
    }
  });

  test('a head of another shape is refused', async () => {
    const dir = await make(true, (parts) => {
      const { bytes, ...head } = parts.get(HEAD)!;
      parts.set(HEAD, { ...head, shape: [128, 32], bytes: bytes.subarray(0, bytes.length / 2) });
    });
    await expect(openModel(dir)).rejects.toMatchObject({ code: 'E_CHECKPOINT_SHAPE', facts: { tensor: HEAD } });
  });
});

describe('config.json says that it is not', () => {
  test.each([false, undefined])(
    '(%s) a head that is not stored is refused, with the key that would mend it',
    async (tied) => {
      const opened = openModel(await make(tied, withoutHead));
      await expect(opened).rejects.toMatchObject({ code: 'E_CHECKPOINT_MISSING', facts: { tensor: HEAD } });
      await expect(opened).rejects.toThrow(/"tie_word_embeddings": true/);
    },
  );

  test('a head that is the embedding is the head', async () => {
    const usual = await score(await make(true, withoutHead));
    expect(await score(await make(false, headIsEmbedding))).toEqual({ perplexity: usual.perplexity, notes: [] });
  });
});

test('two embeddings are refused; what is not used is told', async () => {
  const twins = openModel(await make(false, (parts) => void parts.set('embed_tokens.weight', parts.get(EMBEDDING)!)));
  await expect(twins).rejects.toMatchObject({ code: 'E_CHECKPOINT_UNEXPECTED' });
  await expect(twins).rejects.toThrow(/model\.embed_tokens\.weight and embed_tokens\.weight/);
  const norm = (parts: Parts) => parts.get('model.norm.weight')!;
  const dir = await make(false, (parts) => {
    for (const name of ['score.weight', 'lm_head.bias', 'model.rotary_emb.inv_freq']) parts.set(name, norm(parts));
  });
  const { notes } = await openModel(dir);
  expect(notes).toHaveLength(1);
  expect(notes[0]).toMatch(/^Not used.*: score\.weight, lm_head\.bias\.$/);
});

test.each([
  ['model.layers.0.mlp.up_proj.qweight', 'GPTQ or AWQ'],
  ['model.layers.0.mlp.up_proj.weight.absmax', 'bitsandbytes, 4 bits'],
  ['model.layers.0.mlp.up_proj.SCB', 'bitsandbytes, 8 bits'],
  ['model.layers.0.mlp.up_proj.weight_packed', 'compressed-tensors'],
  ['model.layers.0.mlp.up_proj.weight_scale_inv', 'FP8'],
  ['model.layers.0.mlp.up_proj.scales', 'MLX'],
])('%s: quantised weights of which config.json says nothing', async (name, method) => {
  const dir = await make(false, (parts) => {
    parts.set(name, parts.get('model.norm.weight')!);
    parts.delete('model.layers.0.mlp.up_proj.weight');
  });
  await expect(openModel(dir)).rejects.toMatchObject({ code: 'E_UNSUPPORTED_QUANTISED', facts: { tensor: name } });
  await expect(openModel(dir)).rejects.toThrow(method);
});
