// The text files of a model, from a folder or a .lw file: the tokenizer, the tokens that begin and end a text, the chat
// template. As in transformers, generation_config.json says which tokens end a text, else config.json.

import { CheckpointError } from '../base/portable.js';
import type { Codec } from '../text/portable.js';
import { type ChatTemplate, createChatTemplate, type SpecialWords } from './chat.js';

export type ModelFileName =
  | 'config.json'
  | 'generation_config.json'
  | 'tokenizer.json'
  | 'tokenizer_config.json'
  | 'special_tokens_map.json'
  | 'chat_template.jinja';

/** A source of a model’s text files. */
export type ModelFiles = {
  readonly path: string;
  /** A file's text; undefined where there is none. */
  readText(name: ModelFileName): Promise<string | undefined>;
};

/** Converts between a model's tokens and text. */
export type Language = {
  readonly tokenizer: Codec;
  /** The token that begins a text; undefined where the model has none. */
  readonly bos: number | undefined;
  /** Tokens that end a text. */
  readonly eos: ReadonlySet<number>;
  /** Undefined where the model is not a chat model. */
  readonly chatTemplate: ChatTemplate | undefined;
};

/** Makes a tokenizer from the texts of tokenizer.json and tokenizer_config.json; `where` names their source in messages. */
export type MakeTokenizer<T extends Codec> = (text: string, configText: string | undefined, where: string) => T;

/** @throws CheckpointError E_TEXT_TOKENIZER, E_TEXT_CHAT_TEMPLATE, E_CHECKPOINT_CONFIG; otherwise as `readText` */
export async function readLanguage<T extends Codec>(
  source: ModelFiles,
  makeTokenizer: MakeTokenizer<T>,
): Promise<Language & { readonly tokenizer: T }> {
  const tokenizerText = await source.readText('tokenizer.json');
  if (tokenizerText === undefined) {
    throw new CheckpointError(
      'E_TEXT_TOKENIZER',
      `${source.path}: expected a tokenizer.json beside the weights, got none. Export it again with transformers (tokenizer.save_pretrained).`,
      { file: source.path },
    );
  }
  const configText = await source.readText('tokenizer_config.json');
  const tokenizer = makeTokenizer(tokenizerText, configText, source.path);
  const read = async (name: ModelFileName): Promise<Record<string, unknown>> =>
    parse(await source.readText(name), source.path, name);
  const words = {
    ...(await read('special_tokens_map.json')),
    ...parse(configText, source.path, 'tokenizer_config.json'),
  };
  const config = await read('config.json');
  const generation = await read('generation_config.json');
  const named = (key: 'bos_token' | 'eos_token'): { word: string; id: number } | undefined => {
    const word = wordOf(words[key]);
    const id = word === undefined ? undefined : tokenizer.tokenId(word);
    return word === undefined || id === undefined ? undefined : { word, id };
  };
  const ends = idsOf(generation.eos_token_id) ?? idsOf(config.eos_token_id) ?? [];
  const [bos, eos] = [named('bos_token'), named('eos_token')];
  return {
    tokenizer,
    bos: bos?.id ?? idsOf(generation.bos_token_id)?.[0] ?? idsOf(config.bos_token_id)?.[0],
    eos: new Set(eos === undefined ? ends : [...ends, eos.id]),
    chatTemplate: createChatTemplate(
      { file: await source.readText('chat_template.jinja'), config: words.chat_template },
      specialWords(words),
      source.path,
    ),
  };
}

function parse(text: string | undefined, path: string, name: string): Record<string, unknown> {
  if (text === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(
      'E_CHECKPOINT_CONFIG',
      `${path}: ${name}: expected JSON, got ${(cause as Error).message}. Copy the file again.`,
      { file: path, name },
      { cause },
    );
  }
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** A token is a string, or an object that describes an added token. */
function wordOf(value: unknown): string | undefined {
  const word = typeof value === 'object' && value !== null ? (value as { content?: unknown }).content : value;
  return typeof word === 'string' ? word : undefined;
}

const SPECIAL = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'].map((name) => `${name}_token`);

/** Special tokens by the names that chat templates use, including the model’s own. */
function specialWords(words: Readonly<Record<string, unknown>>): SpecialWords {
  const { extra_special_tokens: extra } = words;
  const own = typeof extra === 'object' && extra !== null && !Array.isArray(extra) ? Object.entries(extra) : [];
  const named = [...own, ...SPECIAL.map((name) => [name, words[name]] as const)];
  return Object.fromEntries(
    named.flatMap(([name, value]) => {
      const word = wordOf(value);
      return word === undefined ? [] : [[name, word]];
    }),
  );
}

/** One id or several; undefined for anything else. */
function idsOf(value: unknown): readonly number[] | undefined {
  const ids = Array.isArray(value) ? value : [value];
  return ids.length > 0 && ids.every((id) => Number.isInteger(id) && id >= 0) ? (ids as number[]) : undefined;
}
