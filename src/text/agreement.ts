// What tokenizer_config.json says of a tokenizer beside tokenizer.json, read as transformers reads it: tokens it adds or
// describes otherwise, special tokens by name, whether BOS and EOS stand around a text. It overrules tokenizer.json; where
// it does so to other tokens a note says it, and where the two cannot both be right it is an error.

import { type AddedToken, type AddedTokens, readAddedToken } from './added-tokens.js';
import { type Part, readPart } from './part.js';
import type { Surround } from './surround.js';

const NAMED = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'] as const;
const LISTED = ['additional_special_tokens', 'extra_special_tokens'] as const;

export type Agreement = {
  readonly surround: Surround;
  /** Special tokens in a text are read as any other text. */
  readonly readsSpecial: boolean;
  /** Where the files disagree, and which is followed. */
  readonly notes: readonly string[];
};

/** Adds to `added` what the configuration has. @throws CheckpointError E_TEXT_TOKENIZER */
export function agree(
  config: Part,
  added: AddedTokens,
  tokenId: (word: string) => number | undefined,
  surround: Surround,
): Agreement {
  const notes: string[] = [];
  addDescribed(config, added, notes);
  for (const token of namedTokens(config)) {
    // As a string it is only added where no added token has its text; as an object it also describes that token.
    if (added.idOf(token.content) !== undefined && !token.isDescribed) continue;
    added.add({ ...token.token, special: true });
  }
  return {
    surround: agreeOnEnds(config, tokenId, surround, notes),
    readsSpecial: config.flag('split_special_tokens', false),
    notes,
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
        `tokenizer_config.json describes ${JSON.stringify(token.content)} otherwise than tokenizer.json (${other}); it is followed`,
      );
  }
}

const differences = (before: AddedToken, after: AddedToken): string =>
  (['single_word', 'lstrip', 'rstrip', 'normalized', 'special'] as const)
    .filter((key) => before[key] !== after[key])
    .map((key) => `${key}: ${after[key]}`)
    .join(', ');

type Named = { readonly content: string; readonly token: AddedToken; readonly isDescribed: boolean };

function namedTokens(config: Part): readonly Named[] {
  const values: (readonly [string, unknown])[] = NAMED.map((key) => [key, config.raw(key)]);
  for (const key of LISTED) {
    const list = config.raw(key);
    if (Array.isArray(list)) values.push(...list.map((one: unknown, i) => [`${key}[${i}]`, one] as const));
  }
  return values.flatMap(([key, value]): readonly Named[] => {
    if (value === undefined || value === '') return [];
    if (typeof value === 'string') return [{ content: value, token: specialToken(value), isDescribed: false }];
    const token = readAddedToken(readPart(value, config.file, key));
    return token.content === '' ? [] : [{ content: token.content, token, isDescribed: true }];
  });
}

const specialToken = (content: string): AddedToken => ({
  ...{ content, single_word: false, lstrip: false, rstrip: false },
  ...{ normalized: false, special: true },
});

/** What add_bos_token and add_eos_token ask for, where one of them is there. */
function agreeOnEnds(
  config: Part,
  tokenId: (word: string) => number | undefined,
  surround: Surround,
  notes: string[],
): Surround {
  if (!config.has('add_bos_token') && !config.has('add_eos_token')) return surround;
  const side = (flag: string, name: string): readonly number[] => {
    if (!config.flag(flag, false)) return [];
    const value = config.raw(name);
    const word = typeof value === 'string' ? value : config.part(name)?.text('content');
    const id = word === undefined ? undefined : tokenId(word);
    if (id === undefined) throw config.wrong(flag, `${name} to be a token, as ${flag} is true`, word);
    return [id];
  };
  const asked = { before: side('add_bos_token', 'bos_token'), after: side('add_eos_token', 'eos_token') };
  if (String(asked.before) === String(surround.before) && String(asked.after) === String(surround.after))
    return surround;
  const show = ({ before, after }: Surround): string => `[${before}] text [${after}]`;
  notes.push(
    `tokenizer_config.json asks for ${show(asked)} (add_bos_token, add_eos_token), tokenizer.json for ${show(surround)}; the former is followed`,
  );
  return asked;
}
