// The tokenizer of a checkpoint as llama.cpp describes one: a list of tokens with their kinds, and either merges and the name
// of one of its pre-tokenizers (`gpt2`), or a score for each token (`llama`, SentencePiece). llama.cpp has its own code for
// each name, so what tokenizer.json says must be exactly what that code does; anything else is refused with its field.
//   llama: of all neighbours that together are a token, those with the highest score merge first. With −(rank of the first
//   merge that makes a token) that is what the merges of tokenizer.json do, where all merges of a token follow one another.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { fileError, UnsupportedError } from '../base/index.js';
import type { GgufValue } from '../gguf/index.js';
import { createTokenizer, type HashedCodec } from '../text/index.js';

export type Pairs = (readonly [key: string, value: GgufValue])[];
export type GgufTokenizer = { readonly pairs: Pairs; readonly notes: readonly string[] };

const KIND = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

type Added = {
  readonly content: string;
  readonly special?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
};
type Json = Readonly<Record<string, unknown>>;
/** Fields of tokenizer.json, after the text room has checked them. */
type TokenizerJson = {
  readonly normalizer?: Json | null;
  readonly pre_tokenizer?: Json | null;
  readonly added_tokens?: readonly (Added & { readonly id: number })[];
  readonly model: {
    readonly type?: string;
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (string | readonly [string, string])[];
    readonly unk_token?: string | null;
    readonly byte_fallback?: boolean;
    readonly ignore_merges?: boolean;
    readonly continuing_subword_prefix?: string | null;
    readonly end_of_word_suffix?: string | null;
  };
};
type ConfigJson = Json & { readonly added_tokens_decoder?: Readonly<Record<string, Added>> };

/**
 * Describes the tokenizer in `dir` for a table of `rows` embeddings. `endOfText` is what config.json says where
 * tokenizer_config.json names no token.
 * @throws UnsupportedError E_UNSUPPORTED_EXPORT where llama.cpp has no such tokenizer; CheckpointError E_TEXT_TOKENIZER
 */
export async function describeTokenizer(
  dir: string,
  rows: number,
  ids: { readonly bos: number | undefined; readonly eos: number | undefined },
): Promise<GgufTokenizer> {
  const path = join(dir, 'tokenizer.json');
  const text = await readText(path);
  if (text === undefined) throw refuse(path, 'a tokenizer.json beside the weights', 'no such file');
  const configText = await readText(join(dir, 'tokenizer_config.json'));
  const codec = createTokenizer(text, configText, dir);
  const whole = JSON.parse(text) as TokenizerJson;
  const config = JSON.parse(configText ?? '{}') as ConfigJson;
  if (codec.vocabularySize > rows) {
    throw refuse(path, `at most ${rows} tokens, one for each row of the embeddings`, `${codec.vocabularySize}`);
  }
  const added = addedTokens(whole, config, codec);
  const model = whole.model.byte_fallback === true ? sentencePiece(path, whole) : byteLevel(path, whole);
  const words = new Map(Object.entries(whole.model.vocab).map(([word, id]) => [id, word]));
  const tokens = Array.from({ length: rows }, (_, id) => added.get(id)?.content ?? words.get(id) ?? `[PAD${id}]`);
  const kinds = tokens.map((token, id) => kindOf(token, added.get(id), words.has(id), whole.model));
  const pairs: Pairs = [
    ['tokenizer.ggml.model', { kind: 'text', value: model.name }],
    ['tokenizer.ggml.pre', { kind: 'text', value: model.pre }],
    ['tokenizer.ggml.tokens', { kind: 'texts', value: tokens }],
    ['tokenizer.ggml.token_type', { kind: 'i32s', value: kinds }],
    ...model.pairsOf(tokens),
    ...endPairs(path, config, codec, ids),
    ...(await templatePairs(dir, config)),
  ];
  const odd = [...added.values()].filter(({ lstrip, rstrip }) => lstrip === true || rstrip === true);
  const strips = odd.map(({ content }) => JSON.stringify(content)).join(', ');
  return {
    pairs,
    notes: odd.length === 0 ? model.notes : [...model.notes, `llama.cpp does not strip spaces beside ${strips}.`],
  };
}

async function readText(path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw fileError(error, path);
  });
}

/** All added tokens by id; tokenizer_config.json overrules tokenizer.json, and names special tokens. */
function addedTokens(whole: TokenizerJson, config: ConfigJson, codec: HashedCodec): ReadonlyMap<number, Added> {
  const added = new Map<number, Added>();
  for (const { id, ...token } of whole.added_tokens ?? []) added.set(id, token);
  for (const [id, token] of Object.entries(config.added_tokens_decoder ?? {})) added.set(Number(id), token);
  for (const key of ['bos_token', 'eos_token', 'unk_token', 'pad_token', 'sep_token', 'cls_token', 'mask_token']) {
    const content = contentOf(config[key]);
    const id = content === undefined ? undefined : codec.tokenId(content);
    if (id !== undefined) added.set(id, { ...added.get(id), content: content!, special: true });
  }
  return added;
}

function contentOf(token: unknown): string | undefined {
  const content = typeof token === 'object' && token !== null ? (token as Partial<Added>).content : token;
  return typeof content === 'string' && content !== '' ? content : undefined;
}

function kindOf(token: string, added: Added | undefined, isWord: boolean, model: TokenizerJson['model']): number {
  if (model.byte_fallback && token === model.unk_token) return KIND.unknown;
  if (added) return added.special ? KIND.control : KIND.userDefined;
  if (!isWord) return KIND.unused;
  return model.byte_fallback && /^<0x[0-9A-F]{2}>$/.test(token) ? KIND.byte : KIND.normal;
}

type Described = {
  readonly name: 'gpt2' | 'llama';
  readonly pre: string;
  readonly pairsOf: (tokens: readonly string[]) => Pairs;
  readonly notes: readonly string[];
};

const byteLevelPart = (regex: boolean): Json => ({ type: 'ByteLevel', add_prefix_space: false, use_regex: regex });
const digits: Json = { type: 'Digits', individual_digits: true };
const sequence = (...pretokenizers: readonly Json[]): Json => ({ type: 'Sequence', pretokenizers });
const splitBy = (Regex: string): Json =>
  sequence({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false }, byteLevelPart(false));

const WORDS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|";
const REST = '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const CASED =
  '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

/** llama.cpp's names of byte-level pre-tokenizers. For those that ignore merges, a word of the vocabulary is a token. */
const PRE_TOKENIZERS: readonly { readonly name: string; readonly part: Json; readonly ignoresMerges?: true }[] = [
  { name: 'gpt-2', part: byteLevelPart(true) },
  { name: 'smollm', part: sequence(digits, byteLevelPart(true)) },
  { name: 'qwen2', part: splitBy(`${WORDS}\\p{N}${REST}`) },
  { name: 'llama-bpe', part: splitBy(`${WORDS}\\p{N}{1,3}${REST}`), ignoresMerges: true },
  { name: 'tekken', part: splitBy(CASED), ignoresMerges: true },
];

/** A description without what changes no tokens: the offsets' flags, and defaults that may be left out. */
function essence(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(essence);
  if (typeof part !== 'object' || part === null) return part;
  const { trim_offsets: _, ...rest } = part as Json;
  const whole = rest.type === 'ByteLevel' ? { add_prefix_space: true, use_regex: true, ...rest } : rest;
  return Object.fromEntries(Object.entries(whole).map(([key, value]) => [key, essence(value)]));
}

function byteLevel(path: string, { normalizer, pre_tokenizer: part, model }: TokenizerJson): Described {
  requireBpe(path, model);
  const known = PRE_TOKENIZERS.find((one) => isDeepStrictEqual(essence(part), essence(one.part)));
  if (!known) {
    const names = PRE_TOKENIZERS.map(({ name }) => name).join(', ');
    const got = JSON.stringify(part) ?? 'none';
    throw refuse(path, `pre_tokenizer: one that llama.cpp has a name for (${names})`, got.slice(0, 200));
  }
  const ignores = model.ignore_merges === true;
  if (ignores !== (known.ignoresMerges ?? false)) {
    throw refuse(path, `model.ignore_merges: ${!ignores}, as llama.cpp's ${known.name} has it`, `${ignores}`);
  }
  const notes: string[] = [];
  if (isDeepStrictEqual(normalizer, { type: 'NFC' })) {
    notes.push('llama.cpp does not normalise text (NFC): decomposed characters get other tokens there.');
  } else if (normalizer != null && !isDeepStrictEqual(normalizer, { type: 'Sequence', normalizers: [] })) {
    throw refuse(path, 'normalizer: none, or NFC', JSON.stringify(normalizer).slice(0, 200));
  }
  const merges = mergesOf(model).map((pair) => pair.join(' '));
  const pairsOf = (): Pairs => [['tokenizer.ggml.merges', { kind: 'texts', value: merges }]];
  return { name: 'gpt2', pre: known.name, pairsOf, notes };
}

const mergesOf = ({ merges }: TokenizerJson['model']): readonly (readonly [string, string])[] =>
  merges
    .filter((one) => typeof one !== 'string' || !one.startsWith('#version'))
    .map((one) => (typeof one === 'string' ? one.split(' ') : one) as unknown as readonly [string, string]);

function requireBpe(path: string, model: TokenizerJson['model']): void {
  if (!Array.isArray(model.merges)) throw refuse(path, 'model: one with merges (BPE)', String(model.type ?? 'another'));
  for (const key of ['continuing_subword_prefix', 'end_of_word_suffix'] as const) {
    if (model[key]) throw refuse(path, `model.${key}: none`, JSON.stringify(model[key]));
  }
}

const SPACE = '▁';
const toSpace: Json = { type: 'Replace', pattern: { String: ' ' }, content: SPACE };
const prepended: Json = { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: SPACE }, toSpace] };
const splitAtSpaces: Json = {
  type: 'Split',
  pattern: { String: ' ' },
  behavior: 'MergedWithPrevious',
  invert: false,
};

/** Whether a text gets a space before it. */
function addsSpace(
  path: string,
  { normalizer = null, pre_tokenizer: part = null }: TokenizerJson,
  notes: string[],
): boolean {
  if (part === null && isDeepStrictEqual(normalizer, prepended)) return true;
  if (isDeepStrictEqual(normalizer, toSpace) && (part === null || isDeepStrictEqual(part, splitAtSpaces))) return false;
  if (normalizer === null && part?.type === 'Metaspace' && part.replacement === SPACE && part.split === false) {
    const first = part.prepend_scheme === 'first' ? ', and one before a text that follows a special token' : '';
    if (part.prepend_scheme !== 'never') {
      notes.push(`llama.cpp puts a space before a text even if it begins with one${first}; this tokenizer does not.`);
    }
    return part.prepend_scheme !== 'never';
  }
  const got = JSON.stringify({ normalizer, pre_tokenizer: part }).slice(0, 200);
  throw refuse(path, 'normalizer and pre_tokenizer as those of LLaMA 2, Mistral or Gemma', got);
}

function sentencePiece(path: string, whole: TokenizerJson): Described {
  const { model } = whole;
  requireBpe(path, model);
  if (model.ignore_merges) throw refuse(path, 'model.ignore_merges: false', 'true');
  const missing = Array.from({ length: 256 }, (_, byte) => byteWord(byte)).find((word) => !(word in model.vocab));
  if (missing) throw refuse(path, 'model.vocab: a token for each byte', `none for ${missing}`);
  const notes: string[] = [];
  const space = addsSpace(path, whole, notes);
  const scores = new Map<string, number>();
  let [last, apart] = ['', 0];
  for (const [rank, pair] of mergesOf(model).entries()) {
    const made = pair.join('');
    if (!scores.has(made)) scores.set(made, -rank);
    else if (made !== last) apart++;
    last = made;
  }
  if (apart > 0)
    notes.push(`${apart} merges are not in the order of the tokens they make: a few texts may get other tokens.`);
  const added = new Set((whole.added_tokens ?? []).map(({ content }) => content));
  const never = Object.keys(model.vocab).filter(
    (word) => [...word].length > 1 && !scores.has(word) && !added.has(word) && !/^<0x[0-9A-F]{2}>$/.test(word),
  );
  if (never.length > 0)
    notes.push(`llama.cpp may use ${never.length} tokens that no merge makes, such as ${JSON.stringify(never[0])}.`);
  const pairsOf = (tokens: readonly string[]): Pairs => [
    // What no merge makes is never looked up: its score only has to be a number.
    ['tokenizer.ggml.scores', { kind: 'f32s', value: tokens.map((token) => scores.get(token) ?? -1e6) }],
    ['tokenizer.ggml.add_space_prefix', { kind: 'bool', value: space }],
    ['tokenizer.ggml.remove_extra_whitespaces', { kind: 'bool', value: false }],
  ];
  return { name: 'llama', pre: 'default', pairsOf, notes };
}

const byteWord = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;

/** Which tokens begin and end a text, and whether they are put there. */
function endPairs(
  path: string,
  config: ConfigJson,
  codec: HashedCodec,
  ids: { readonly bos: number | undefined; readonly eos: number | undefined },
): Pairs {
  const named = (key: string): number | undefined => {
    const content = contentOf(config[key]);
    return content === undefined ? undefined : codec.tokenId(content);
  };
  const [with_, without] = [[...codec.encode('a')], [...codec.encode('a', false)]];
  const extra = with_.length - without.length;
  const start = Array.from({ length: extra + 1 }, (_, i) => i).find((i) =>
    isDeepStrictEqual(with_.slice(i, i + without.length), without),
  );
  const [before, after] = [
    with_.slice(0, start ?? extra),
    start === undefined ? [] : with_.slice(start + without.length),
  ];
  const bos = before[0] ?? named('bos_token') ?? ids.bos;
  const eos = named('eos_token') ?? ids.eos ?? after[0];
  if (start === undefined || before.length > 1 || after.length > 1 || (after.length === 1 && after[0] !== eos)) {
    throw refuse(
      path,
      'post_processor: at most BOS before and EOS after a text',
      `${with_.length - without.length} tokens`,
    );
  }
  const token = (name: string, id: number | undefined): Pairs =>
    id === undefined ? [] : [[`tokenizer.ggml.${name}_token_id`, { kind: 'u32', value: id }]];
  return [
    ...token('bos', bos),
    ...token('eos', eos),
    ...token('unknown', named('unk_token')),
    ...token('padding', named('pad_token')),
    ['tokenizer.ggml.add_bos_token', { kind: 'bool', value: before.length === 1 }],
    ['tokenizer.ggml.add_eos_token', { kind: 'bool', value: after.length === 1 }],
  ];
}

/** The chat template: chat_template.jinja, else the one (or the one called default) in tokenizer_config.json. */
async function templatePairs(dir: string, { chat_template: inConfig }: ConfigJson): Promise<Pairs> {
  const listed = Array.isArray(inConfig)
    ? (inConfig as readonly { name?: unknown; template?: unknown }[]).find(({ name }) => name === 'default')?.template
    : inConfig;
  const template = (await readText(join(dir, 'chat_template.jinja'))) ?? listed;
  return typeof template === 'string' ? [['tokenizer.chat_template', { kind: 'text', value: template }]] : [];
}

function refuse(file: string, expected: string, got: string): UnsupportedError {
  const message = `${file}: llama.cpp needs ${expected}, got ${got}. Its tokens would differ; export to hf or compressed-tensors, which keep tokenizer.json.`;
  return new UnsupportedError('E_UNSUPPORTED_EXPORT', message, { file, expected, got });
}
