// Runs tokenizer.json as the Rust library (huggingface/tokenizers) does: added tokens are found, the rest is normalised,
// cut into pieces, and read by the model; special tokens go around it. test/golden/tokenizers has that library’s tokens and
// texts. `truncation` and `padding` are not applied, as transformers does not apply them by default. Decoding never tidies
// spaces (transformers’ clean_up_tokenization_spaces), because a completion has to fit the prompt that it continues.

import { createAddedTokens, createFinders, readAddedTokens } from './added-tokens.js';
import { agree } from './agreement.js';
import { type Decode, readDecoder, readEachByte, readWholeBytes } from './decode.js';
import { createModel } from './model.js';
import { readNormaliser } from './normalise.js';
import { type Part, parseJson, readPart } from './part.js';
import { readSplitter, type Splitter } from './split.js';
import { readSurround } from './surround.js';
import { createTokenBytes } from './token-bytes.js';
import { createIds, type Ids } from './token-model.js';

/** A tokenizer that works in both directions. */
export interface Codec {
  /** One more than the largest token id it knows. */
  readonly vocabularySize: number;
  /** Characters of the longest token. */
  readonly longestToken: number;
  /** Where tokenizer.json and tokenizer_config.json disagree, and which one is followed; a sentence each. */
  readonly notes: readonly string[];
  /** The special tokens that `encode` puts before a text. */
  readonly before: readonly number[];
  /** The token that tokenizer_config.json names as the beginning of a text (bos_token); `encode` may not use it. */
  readonly bosToken: number | undefined;
  /** The token that it names as what fills up a text (pad_token). */
  readonly padToken: number | undefined;
  /**
   * Token ids of a text. Unless `specialTokens` is false, special tokens are added around the whole text, as in
   * transformers.
   */
  encode(text: string, specialTokens?: boolean): Int32Array;
  /** The text of tokens. Special tokens are left out unless `specialTokens` is set; ids without a token always are. */
  decode(tokens: readonly number[], specialTokens?: boolean): string;
  /**
   * As `decode`, without special tokens, for tokens that more may follow: where consecutive byte tokens are not UTF-8, only
   * the bytes that do not fit become U+FFFD, while `decode` turns all of them into U+FFFD, as the Rust library does.
   */
  decodeSoFar(tokens: readonly number[]): string;
  /** The bytes one token stands for; none for an id without a token. */
  tokenBytes(token: number): Uint8Array;
  /** The id of a token as the vocabulary spells it. */
  tokenId(word: string): number | undefined;
}

/**
 * The tokenizer that the texts of tokenizer.json and tokenizer_config.json describe; `where` names their source in
 * messages.
 * @throws CheckpointError E_TEXT_TOKENIZER where they are malformed or of a kind we cannot run
 */
export function createCodec(text: string, configText: string | undefined, where: string): Codec {
  const path = `${where}/tokenizer.json`;
  const configPath = `${where}/tokenizer_config.json`;
  return codecOf(parseJson(text, path), parseJson(configText ?? '{}', configPath), { path, configPath });
}

/** As `createCodec`, from the parsed contents of the two files. @throws CheckpointError E_TEXT_TOKENIZER */
export function codecOf(
  tokenizer: object,
  tokenizerConfig: object,
  { path, configPath }: { readonly path: string; readonly configPath: string },
): Codec {
  const whole = readPart(tokenizer, path);
  const modelPart = whole.part('model');
  if (modelPart?.has('vocab') !== true) throw whole.wrong('model', 'an object with a "vocab"');
  const model = createModel(modelPart);
  const normaliser = read(whole, 'normalizer', readNormaliser);
  const splitter = read(whole, 'pre_tokenizer', readSplitter);
  const decode = read(whole, 'decoder', (part) => readDecoder(part, readWholeBytes)) ?? separate;
  const decodeSoFar = read(whole, 'decoder', (part) => readDecoder(part, readEachByte)) ?? separate;
  if (normaliser?.mayDropFirst && splitter?.asksForFirst) refuseFirst(whole);

  const added = createAddedTokens(model.words, model.words.size);
  readAddedTokens(whole, added);
  const tokenId = (word: string): number | undefined => added.idOf(word) ?? model.words.get(word);
  const surround = readSurround(whole.part('post_processor'));
  const { readsSpecial, notes, bosToken, padToken } = agree(readPart(tokenizerConfig, configPath), added, tokenId, {
    surround,
    addsSpace: addsSpaceOf(whole.part('pre_tokenizer')),
  });

  const normalise = normaliser?.normalise ?? ((text: string) => text);
  const [findPlain, findNormalised] = createFinders(added, normalise, readsSpecial);
  const special = new Set([...added.byId.values()].filter((token) => token.special).map(({ content }) => content));
  // Decoders undo the normalizer, so a normalised token is decoded as it was found.
  const spelling = new Map(model.spelling);
  for (const [id, token] of added.byId) spelling.set(id, token.normalized ? normalise(token.content) : token.content);
  const bytesOf = createTokenBytes(whole.part('decoder'));
  const split: Splitter['split'] = splitter?.split ?? ((piece, isFirst, take) => take(piece, isFirst));

  const encodeText = (text: string, ids: Ids): void => {
    for (const section of findPlain(text)) {
      if (section.id !== undefined) {
        ids.push(section.id);
        continue;
      }
      for (const part of findNormalised(normalise(section.text))) {
        if (part.id !== undefined) ids.push(part.id);
        else split(part.text, section.start === 0 && part.start === 0, (piece) => model.encode(piece, ids));
      }
    }
  };
  const textOf = (tokens: readonly number[], specialTokens: boolean, by: Decode): string => {
    const words: string[] = [];
    for (const id of tokens) {
      const word = spelling.get(id);
      if (word !== undefined && (specialTokens || !special.has(word))) words.push(word);
    }
    return words.length === 0 ? '' : by(words).join('');
  };
  return {
    ...measure(spelling),
    notes,
    before: surround.before,
    bosToken,
    padToken,
    encode: (text, specialTokens = true) => {
      const ids = createIds();
      if (specialTokens) for (const id of surround.before) ids.push(id);
      encodeText(wellFormed(text), ids);
      if (specialTokens) for (const id of surround.after) ids.push(id);
      return ids.all();
    },
    decode: (tokens, specialTokens = false) => textOf(tokens, specialTokens, decode),
    decodeSoFar: (tokens) => textOf(tokens, false, decodeSoFar),
    tokenBytes: (token) => {
      const word = spelling.get(token);
      return word === undefined ? new Uint8Array() : bytesOf(word, added.byId.get(token)?.normalized === false);
    },
    tokenId,
  };
}

const read = <T>(whole: Part, key: string, make: (part: Part) => T): T | undefined => {
  const part = whole.part(key);
  return part && make(part);
};

/** Without a decoder, words are separated by spaces. */
const separate: Decode = (words) => [words.join(' ')];

/** Whether a byte-level tokenizer puts a space before a text; undefined for others. */
const addsSpaceOf = (part: Part | undefined): boolean | undefined =>
  part?.type === 'ByteLevel' ? part.flag('add_prefix_space') : undefined;

function refuseFirst(whole: Part): never {
  throw whole.unsupported(
    'pre_tokenizer',
    'no Metaspace with prepend_scheme "first" after a normalizer that may drop characters at the beginning',
    'both',
  );
}

function measure(words: Iterable<readonly [number, string]>): Pick<Codec, 'vocabularySize' | 'longestToken'> {
  let [largest, longestToken] = [-1, 1];
  for (const [id, word] of words) {
    largest = Math.max(largest, id);
    longestToken = Math.max(longestToken, word.length);
  }
  return { vocabularySize: largest + 1, longestToken };
}

/** A lone surrogate is not a character; UTF-8 has U+FFFD for it. */
const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd');
