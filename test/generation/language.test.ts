import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import {
  createChatTemplate,
  encodePrompt,
  folderTexts,
  loadLanguage,
  type ModelFileName,
  type ModelFiles,
} from '../../src/generation/index.js';
import { sharedPath, testWith } from '../shared.js';
import { createFakeDecoder } from './fake-decoder.js';

const demo = folderTexts(fileURLToPath(new URL('../../demo/model', import.meta.url)));
/** The demo's text files with some of them others, or none. */
const withTexts = (texts: Partial<Record<ModelFileName, unknown>>): ModelFiles => ({
  path: 'test',
  readText: async (name) => {
    if (!(name in texts)) return demo.readText(name);
    const value = texts[name];
    return value === undefined || typeof value === 'string' ? value : JSON.stringify(value);
  },
});

describe('loadLanguage', () => {
  test('of the demo: one token begins and ends a text, no chat template', async () => {
    const { bos, eos, chatTemplate, tokenizer } = await loadLanguage(demo);
    expect([bos, [...eos], chatTemplate]).toEqual([tokenizer.tokenId('<|endoftext|>'), [0], undefined]);
  });

  test('what ends a text: generation_config.json before config.json, and the tokenizer’s own', async () => {
    const none = { 'tokenizer_config.json': {}, 'special_tokens_map.json': undefined };
    const eos = async (texts: Partial<Record<ModelFileName, unknown>>) => [
      ...(await loadLanguage(withTexts({ ...none, ...texts }))).eos,
    ];
    const [config, generation] = ['config.json', 'generation_config.json'] as const;
    expect(await eos({ [config]: { eos_token_id: 5 }, [generation]: { eos_token_id: [6, 7] } })).toEqual([6, 7]);
    expect(await eos({ [config]: { eos_token_id: 5 }, [generation]: undefined })).toEqual([5]);
    expect(await eos({ [config]: {}, [generation]: { eos_token_id: null } })).toEqual([]);
    const named = { 'tokenizer_config.json': { eos_token: { content: '<|endoftext|>' } } };
    expect(await eos({ ...named, [config]: { eos_token_id: 5 }, [generation]: {} })).toEqual([5, 0]);
  });

  test('files that are missing or damaged are named', async () => {
    await expect(loadLanguage(withTexts({ 'tokenizer.json': undefined }))).rejects.toMatchObject({
      code: 'E_TEXT_TOKENIZER',
    });
    await expect(loadLanguage(withTexts({ 'config.json': '{' }))).rejects.toMatchObject({
      code: 'E_CHECKPOINT_CONFIG',
      message: expect.stringContaining('config.json'),
    });
    await expect(loadLanguage(withTexts({ 'chat_template.jinja': '{% if %}' }))).rejects.toMatchObject({
      code: 'E_TEXT_CHAT_TEMPLATE',
    });
  });

  test('an empty prompt begins with the BOS token; without one it is refused', async () => {
    const language = await loadLanguage(demo);
    const model = { ...language, info: createFakeDecoder({ vocabulary: 4096 }).info };
    expect(encodePrompt(model, '')).toEqual([0]);
    expect(() => encodePrompt({ ...model, bos: undefined }, '')).toThrowError(
      expect.objectContaining({ code: 'E_OPTION_PROMPT' }),
    );
  });

  test('a token that only the tokenizer knows is named', async () => {
    const language = await loadLanguage(demo);
    const end = language.tokenizer.encode('Once upon a time').reduce((most, id) => Math.max(most, id));
    const model = { ...language, info: createFakeDecoder({ vocabulary: end }).info };
    expect(() => encodePrompt(model, 'Once upon a time')).toThrowError(
      expect.objectContaining({ code: 'E_OPTION_PROMPT', facts: { option: 'prompt', token: end, vocabulary: end } }),
    );
  });

  test('a folder’s files, and their absence', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'layerwise-language-'));
    afterAll(() => rmSync(dir, { recursive: true }));
    writeFileSync(join(dir, 'chat_template.jinja'), 'x');
    expect(await folderTexts(dir).readText('chat_template.jinja')).toBe('x');
    expect(await folderTexts(dir).readText('config.json')).toBeUndefined();
  });
});

describe('createChatTemplate', () => {
  const words = { bos_token: '<s>', eos_token: '</s>' };
  const messages = [{ role: 'user', content: 'hi' }];
  const render = (file: string | undefined, config: unknown): string | undefined =>
    createChatTemplate({ file, config }, words, 'test')?.render(messages);

  test('the file before the config; of several named ones the default', () => {
    expect(render('file {{ messages[0].content }}', 'config')).toBe('file hi');
    expect(render(undefined, '{{ bos_token }}{{ eos_token }}')).toBe('<s></s>');
    expect(
      render(undefined, [
        { name: 'tool_use', template: 'tools' },
        { name: 'default', template: 'default' },
      ]),
    ).toBe('default');
    expect(render(undefined, undefined)).toBeUndefined();
    expect(render(undefined, [{ name: 'tool_use', template: 'tools' }])).toBeUndefined();
  });

  const qwen = sharedPath('data', 'tokenizers', 'qwen2');
  testWith(qwen, 'Qwen2’s tokenizer')('Qwen2’s, as transformers renders it', async () => {
    const { chatTemplate } = await loadLanguage(folderTexts(qwen!));
    expect(chatTemplate!.render([{ role: 'system', content: 'Be brief.' }, ...messages])).toBe(
      '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n',
    );
  });
});
