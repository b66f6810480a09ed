// Files of tiny LLaVAs and CLIPs: images, preprocessor_config.json, tokenizers; and which tensors a command changed.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { encodePng } from '../../src/images/index.js';
import { lcg } from '../vision-golden.js';

/** Noise around a grey of its own. */
export function png(seed: number): Uint8Array {
  const u = lcg(seed);
  const pixels = Uint8Array.from({ length: 32 * 32 * 3 }, () => Math.round(127 + 20 * (seed % 5) + 40 * u()));
  return encodePng({ width: 32, height: 32, pixels });
}

export const processor = (extra: object = {}) =>
  JSON.stringify({
    image_processor_type: 'CLIPImageProcessor',
    ...{ size: { shortest_edge: 32 }, crop_size: { height: 32, width: 32 } },
    ...extra,
  });

const WORDS = ['<unk>', '<s>', '</s>'];
const IMAGE = 119;

/** LLaVA's golden has 120 tokens: letters, signs, and <image> last. */
export const llavaTokenizer = () => {
  const flags = { special: true, single_word: false, lstrip: false, rstrip: false, normalized: false };
  const signs = Array.from({ length: 96 }, (_, i) => String.fromCharCode(i + 31)).map((one) =>
    one === '\x1f' ? '\n' : one,
  );
  const others = Array.from({ length: IMAGE - WORDS.length - signs.length }, (_, i) => `word ${i}`);
  const vocab = [...WORDS, ...signs, ...others];
  return {
    version: '1.0',
    added_tokens: [
      ...WORDS.map((content, id) => ({ id, content, ...flags })),
      { id: IMAGE, content: '<image>', ...flags },
    ],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: { type: 'Fuse' },
    model: {
      ...{ type: 'BPE', unk_token: '<unk>', fuse_unk: true, byte_fallback: false },
      ...{ vocab: Object.fromEntries(vocab.map((word, id) => [word, id])), merges: [] },
    },
  };
};

/** CLIP's golden has 99 tokens: a token for each letter, 97 before a text and 98 after it. */
export function clipTokenizer() {
  const signs = Array.from({ length: 95 }, (_, i) => String.fromCharCode(i + 32));
  const flags = { special: true, single_word: false, lstrip: false, rstrip: false, normalized: false };
  const base = llavaTokenizer();
  return {
    ...base,
    added_tokens: [
      { id: 97, content: '<s>', ...flags },
      { id: 98, content: '</s>', ...flags },
    ],
    post_processor: {
      type: 'TemplateProcessing',
      single: [
        { SpecialToken: { id: '<s>', type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
        { SpecialToken: { id: '</s>', type_id: 0 } },
      ],
      pair: [],
      special_tokens: {
        '<s>': { id: '<s>', ids: [97], tokens: ['<s>'] },
        '</s>': { id: '</s>', ids: [98], tokens: ['</s>'] },
      },
    },
    model: {
      ...base.model,
      unk_token: null,
      vocab: Object.fromEntries([...signs.map((one, id) => [one, id]), ['<s>', 97], ['</s>', 98]]),
    },
  };
}

async function tensorsOf(dir: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const file = await readFile(join(dir, 'model.safetensors'));
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + length).toString()) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  const { __metadata__: _, ...tensors } = header;
  return new Map(
    Object.entries(tensors).map(
      ([
        name,
        {
          data_offsets: [from, to],
        },
      ]) => [name, file.subarray(8 + length + from, 8 + length + to)],
    ),
  );
}

/** Names of the tensors that differ. */
export async function changed(before: string, after: string): Promise<readonly string[]> {
  const [a, b] = [await tensorsOf(before), await tensorsOf(after)];
  expect([...b.keys()].sort()).toEqual([...a.keys()].sort());
  return [...a].filter(([name, bytes]) => !Buffer.from(bytes).equals(Buffer.from(b.get(name)!))).map(([name]) => name);
}
