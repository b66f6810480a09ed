// Reads what tokenizer_config.json says about a tokenizer beside tokenizer.json, as transformers does: tokens that it adds
// or describes differently, and special tokens by name. It overrules tokenizer.json, and a note says where; an id that the
// token does not get is an error. The tokens around a text come from tokenizer.json alone in transformers 5; transformers 4
// let add_bos_token and add_eos_token change them for a few classes, so a note says where these two disagree with
// tokenizer.json.

import { type AddedToken, type AddedTokens, readAddedToken } from './added-tokens.js';
import { type Part, readPart } from './part.js';
import type { Surround } from './surround.js';

const NAMED = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'] as const;
const LISTED = ['additional_special_tokens', 'extra_special_tokens'] as const;

export type Agreement = {
  /** Special tokens in a text are read as any other text. */
  readonly readsSpecial: boolean;
  /** Where the files disagree, and which is followed. */
  readonly notes: readonly string[];
  /** The token named bos_token. */
  readonly bosToken: number | undefined;
  /** The token named pad_token. */
  readonly padToken: number | undefined;
};

/** Adds to `added` what the configuration has. @throws CheckpointError E_TEXT_TOKENIZER */
export function agree(
  config: Part,
  added: AddedTokens,
  tokenId: (word: string) => number | undefined,
  { surround, addsSpace }: { readonly surround: Surround; readonly addsSpace: boolean | undefined },
): Agreement {
  const notes: string[] = [];
  addDescribed(config, added, notes);
  for (const token of namedTokens(config)) {
    if (added.idOf(token.content) === undefined) added.add({ ...token, special: true });
  }
  compareEnds(config, tokenId, surround, notes);
  if (addsSpace !== undefined && config.flag('add_prefix_space', addsSpace) !== addsSpace) {
    const file = `add_prefix_space is ${!addsSpace} in tokenizer_config.json and ${addsSpace} in tokenizer.json`;
    notes.push(`${file}; tokenizer.json is followed, as transformers 5 does`);
  }
  return {
    readsSpecial: config.flag('split_special_tokens', false),
    notes,
    bosToken: tokenNamed(config, 'bos_token', tokenId),
    padToken: tokenNamed(config, 'pad_token', tokenId),
  };
}

function addDescribed(config: Part, added: AddedTokens, notes: string[]): void {
  const described = config.part('added_tokens_decoder');
  if (described === undefined) return;
  const names = new Set(namedTokens(config).map(({ content }) => content));
  const ids = Object.keys(config.raw('added_tokens_decoder') as object).sort((a, b) => Number(a) - Number(b));
  for (const id of ids) {
    const part = described.part(id);
    if (part === undefined) throw described.wrong(id, 'a token');
    const read = readAddedToken(part);
    const token = { ...read, special: read.special || names.has(read.content) };
    if (token.content === '') continue;
    const before = added.byId.get(added.idOf(token.content) ?? -1);
    const given = added.add(token);
    if (String(given) !== id) {
      throw described.wrong(
        id,
        `${JSON.stringify(token.content)} to be token ${given}, its id after those of tokenizer.json`,
        Number(id),
      );
    }
    const other = before && differences(before, token);
    if (other)
      notes.push(
        `tokenizer_config.json describes ${JSON.stringify(token.content)} differently from tokenizer.json (${other}); tokenizer_config.json is followed`,
      );
  }
}

const differences = (before: AddedToken, after: AddedToken): string =>
  (['single_word', 'lstrip', 'rstrip', 'normalized', 'special'] as const)
    .filter((key) => before[key] !== after[key])
    .map((key) => `${key}: ${after[key]}`)
    .join(', ');

/** Special tokens by name or in a list; an object describes one. */
function namedTokens(config: Part): readonly AddedToken[] {
  const values: (readonly [string, unknown])[] = NAMED.map((key) => [key, config.raw(key)]);
  for (const key of LISTED) {
    const list = config.raw(key) ?? {};
    if (typeof list !== 'object') throw config.wrong(key, 'a list of tokens, or an object');
    values.push(...Object.entries(list).map(([at, one]) => [`${key}.${at}`, one] as const));
  }
  return values
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([key, value]) =>
      typeof value === 'string' ? specialToken(value) : readAddedToken(readPart(value, config.file, key)),
    )
    .filter(({ content }) => content !== '');
}

const specialToken = (content: string): AddedToken => ({
  ...{ content, single_word: false, lstrip: false, rstrip: false },
  ...{ normalized: false, special: true },
});

/** Whether add_bos_token and add_eos_token say what tokenizer.json does. */
function compareEnds(
  config: Part,
  tokenId: (word: string) => number | undefined,
  { before, after }: Surround,
  notes: string[],
): void {
  for (const [flag, name, ids] of [
    ['add_bos_token', 'bos_token', before],
    ['add_eos_token', 'eos_token', after],
  ] as const) {
    const id = tokenNamed(config, name, tokenId);
    if (!config.has(flag) || config.flag(flag) === (id !== undefined && ids.includes(id))) continue;
    const [asked, does] = config.flag(flag) ? ['asks for', 'adds no'] : ['asks for no', 'adds a'];
    notes.push(
      `tokenizer_config.json ${asked} ${name} (${flag}), tokenizer.json ${does} ${name}; tokenizer.json is followed, as transformers 5 does`,
    );
  }
}

function tokenNamed(config: Part, name: string, tokenId: (word: string) => number | undefined): number | undefined {
  const value = config.raw(name);
  const word = value === undefined || typeof value === 'string' ? value : config.part(name)?.text('content');
  return word === undefined ? undefined : tokenId(word);
}
