// Questions about images as tokens: LLaVA-1.5's own text, the templates of llava-hf and SmolVLM, which tokens are scored, and what is
// refused. The tokenizer has a token for each byte, so texts can be read back from tokens.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createChatTemplate } from '../../src/generation/chat.js';
import { dialogueTexts, dialogueWriter } from '../../src/generation/dialogue.js';
import type { Language } from '../../src/generation/language.js';
import { createTokenizer } from '../../src/text/index.js';

const SPECIAL = ['<unk>', '<s>', '</s>', '<image>', '<fake_token_around_image>', '<global-img>', '<end_of_utterance>'];
const IMAGE = 3;

function languageOf(template?: string, start = '<s>', words: readonly string[] = SPECIAL): Language {
  const all = [...words];
  for (let byte = 0; byte < 256; byte++) all.push(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const flags = { special: true, single_word: false, lstrip: false, rstrip: false, normalized: false };
  const tokenizer = createTokenizer(
    JSON.stringify({
      version: '1.0',
      added_tokens: words.map((content, id) => ({ id, content, ...flags })),
      normalizer: null,
      pre_tokenizer: null,
      post_processor: {
        type: 'TemplateProcessing',
        single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
        pair: [],
        special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
      },
      decoder: { type: 'Sequence', decoders: [{ type: 'ByteFallback' }, { type: 'Fuse' }] },
      model: {
        ...{ type: 'BPE', unk_token: '<unk>', fuse_unk: true, byte_fallback: true },
        ...{ vocab: Object.fromEntries(all.map((word, id) => [word, id])), merges: [] },
      },
    }),
    JSON.stringify({ bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' }),
    'test',
  );
  const chatTemplate = createChatTemplate({ file: template, config: undefined }, { bos_token: start }, 'test');
  return { tokenizer, bos: 1, eos: new Set(template?.includes('utterance') ? [6] : [2]), chatTemplate };
}

const mlp = {
  ...{ imageToken: IMAGE, rows: 3 },
  projector: { kind: 'mlp', skipped: 1, activation: 'gelu', bias: true },
} as const;
const shuffle = { imageToken: IMAGE, rows: 4, projector: { kind: 'shuffle', factor: 2 } } as const;
const WHOLE = { rows: 0, columns: 0 };
const item = { question: 'What is it?', answer: 'a cat', images: [WHOLE] };

/** The texts of a template on the Hub, written as one line. */
const LLAVA =
  "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': '}}{% endif %}{# Render all images first #}{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}{# Render all text next #}{% if message['role'] != 'assistant' %}{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' '}}{% endfor %}{% else %}{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{% generation %}{{ content['text'] + ' '}}{% endgeneration %}{% endfor %}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}";
const SMOLVLM =
  "<s>{% for message in messages %}{{message['role'] | capitalize}}{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";

function read(language: Language, tokens: ArrayLike<number>): string {
  return language.tokenizer.decode(Array.from(tokens), true);
}

test.each([
  ['its own text', undefined, 'llava-1.5'],
  ['the template of llava-hf', LLAVA, 'chat template'],
] as const)('writes LLaVA’s question by %s', (_, template, format) => {
  const language = languageOf(template);
  const writer = dialogueWriter(mlp, language, 100);
  expect(writer).toMatchObject({ format, imageToken: IMAGE });
  expect(writer.prompt(item)).toBe('USER: <image>\nWhat is it? ASSISTANT:');
  const { tokens, answer, images } = writer.write(item);
  expect(images).toBe(1);
  expect(read(language, tokens)).toBe('<s>USER: <image><image><image>\nWhat is it? ASSISTANT: a cat</s>');
  expect([...answer]).toEqual(Array.from({ length: 7 }, (_one, i) => tokens.length - 7 + i));
  expect(
    read(
      language,
      Array.from(answer, (at) => tokens[at]!),
    ),
  ).toBe(' a cat</s>');
});

test('writes SmolVLM’s question by its template, with marks around the image, and no second token at the start', () => {
  const language = languageOf(SMOLVLM);
  const { tokens, answer } = dialogueWriter(shuffle, language, 100).write(item);
  expect(read(language, tokens)).toBe(
    `<s>User:<fake_token_around_image><global-img>${'<image>'.repeat(4)}<fake_token_around_image>What is it?<end_of_utterance>\nAssistant: a cat<end_of_utterance>`,
  );
  expect(
    read(
      language,
      Array.from(answer, (at) => tokens[at]!),
    ),
  ).toBe(' a cat<end_of_utterance>');
});

test('writes a question without an image, and one with two', () => {
  const language = languageOf();
  const writer = dialogueWriter(mlp, language, 100);
  expect(read(language, writer.write({ ...item, images: [] }).tokens)).toBe(
    '<s>USER: What is it? ASSISTANT: a cat</s>',
  );
  const two = writer.write({ ...item, images: [WHOLE, WHOLE] });
  expect(two.tokens.filter((token) => token === IMAGE)).toHaveLength(6);
});

test('refuses what cannot be scored as it stands', () => {
  const writer = dialogueWriter(mlp, languageOf(), 100);
  expect(() => writer.write({ ...item, answer: ' ' })).toThrow(/no answer/);
  expect(() => writer.write({ ...item, question: '<image>\nWhat?' })).toThrow(/has <image> in its text/);
  expect(() => writer.write({ ...item, answer: 'see <image>' })).toThrow(/2 image tokens, for 1 image/);
  expect(() => dialogueWriter(mlp, languageOf(), 39).write(item)).toThrow(
    /40 tokens, 3 for each of 1 image.*at most 39/,
  );
  expect(() => dialogueWriter(shuffle, languageOf(), 100)).toThrow(/no chat template/);
  expect(() => dialogueWriter({ ...mlp, imageToken: 9 }, languageOf(), 100)).toThrow(/token 9.*got 3/);
  const unmarked = languageOf(SMOLVLM, '<s>', SPECIAL.slice(0, 4));
  expect(() => dialogueWriter(shuffle, unmarked, 100)).toThrow(/<fake_token_around_image>/);
  const rewritten = dialogueWriter(
    mlp,
    languageOf(
      "{{ messages | length }}{% for m in messages %}{% for c in m['content'] %}{{ c['text'] }}{% endfor %}{% endfor %}",
    ),
    100,
  );
  expect(() => rewritten.write({ ...item, images: [] })).toThrow(/does not write an answer just behind/);
});

test('reads the template of a processor where a model has no other', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'layerwise-dialogue-'));
  try {
    const read = () => dialogueTexts(dir).readText('chat_template.jinja');
    expect(await read()).toBeUndefined();
    await writeFile(join(dir, 'chat_template.json'), '{"chat_template": 1}');
    await expect(read()).rejects.toThrow(/expected an object with a chat_template/);
    await writeFile(join(dir, 'chat_template.json'), JSON.stringify({ chat_template: LLAVA }));
    expect(await read()).toBe(LLAVA);
    await writeFile(join(dir, 'chat_template.jinja'), SMOLVLM);
    expect(await read()).toBe(SMOLVLM);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
