// Added tokens: strings that are a token wherever they occur, before anything else reads the text. Those that are not
// normalised are found in the text as it is; the others are found in what the normalizer makes of the rest, after it
// normalised them too. Of tokens that begin at the same place the longest is used; a token that must be a whole word is
// skipped where it is part of a longer word.

import type { Normalise } from './normalise.js';
import type { Part } from './part.js';
import { isId } from './vocabulary.js';

export type AddedToken = {
  readonly content: string;
  readonly single_word: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
  readonly special: boolean;
};

/** A token that a file describes, with the defaults of the Rust library. @throws CheckpointError E_TEXT_TOKENIZER */
export function readAddedToken(part: Part): AddedToken {
  const special = part.flag('special', false);
  return {
    content: part.text('content'),
    single_word: part.flag('single_word', false),
    lstrip: part.flag('lstrip', false),
    rstrip: part.flag('rstrip', false),
    normalized: part.flag('normalized', !special),
    special,
  };
}

/** The added tokens of a tokenizer, and the ids they get. */
export interface AddedTokens {
  readonly byId: ReadonlyMap<number, AddedToken>;
  idOf(content: string): number | undefined;
  /**
   * Adds a token, or changes its description. Its id is that of an existing word, else the next free one. Returns the id.
   */
  add(token: AddedToken): number;
}

export function createAddedTokens(words: ReadonlyMap<string, number>, size: number): AddedTokens {
  const byId = new Map<number, AddedToken>();
  const ids = new Map<string, number>();
  let largest = -1;
  return {
    byId,
    idOf: (content) => ids.get(content),
    add(token) {
      const id = ids.get(token.content) ?? words.get(token.content) ?? Math.max(size, largest + 1);
      ids.set(token.content, id);
      byId.set(id, token);
      largest = Math.max(largest, id);
      return id;
    },
  };
}

/** The list `added_tokens` of tokenizer.json. @throws CheckpointError E_TEXT_TOKENIZER, also where an id is not the one it gets */
export function readAddedTokens(whole: Part, added: AddedTokens): void {
  for (const part of whole.parts('added_tokens')) {
    const token = readAddedToken(part);
    if (token.content === '') continue;
    const id = part.raw('id');
    if (!isId(id)) throw part.wrong('id', 'a token id');
    const given = added.add(token);
    if (given !== id) {
      throw part.wrong('id', `${given}, the id that the Rust library gives ${JSON.stringify(token.content)}`);
    }
  }
}

/** A stretch of a text: a token's id, or text. */
export type Section = { readonly start: number; readonly text: string; readonly id: number | undefined };

/** Finds tokens in a text; sections are in order, and empty ones are left out. */
export type FindTokens = (text: string) => readonly Section[];

/** Finds the tokens that are not normalised, and those that are. `readsSpecial`: special tokens are text like any other. */
export function createFinders(
  added: AddedTokens,
  normalise: Normalise,
  readsSpecial: boolean,
): readonly [FindTokens, FindTokens] {
  const plain: Entry[] = [];
  const normalised: Entry[] = [];
  for (const [id, token] of added.byId) {
    if (token.normalized) normalised.push({ text: normalise(token.content), id, token });
    else plain.push({ text: token.content, id, token });
  }
  return [createFinder(plain, readsSpecial), createFinder(normalised, readsSpecial)];
}

type Entry = { readonly text: string; readonly id: number; readonly token: AddedToken };
type Node = { readonly next: Map<number, Node>; entry?: Entry };

function createFinder(entries: readonly Entry[], readsSpecial: boolean): FindTokens {
  const root: Node = { next: new Map() };
  for (const entry of entries) {
    let node = root;
    for (let i = 0; i < entry.text.length; i++) {
      const code = entry.text.charCodeAt(i);
      const child = node.next.get(code) ?? { next: new Map() };
      node.next.set(code, child);
      node = child;
    }
    if (node !== root) node.entry ??= entry;
  }
  const longestAt = (text: string, start: number): Entry | undefined => {
    let found: Entry | undefined;
    let node: Node | undefined = root;
    for (let at = start; node !== undefined; at++) {
      found = node.entry ?? found;
      node = node.next.get(text.charCodeAt(at));
    }
    return found;
  };
  return (text) => {
    const sections: Section[] = [];
    let done = 0;
    const take = (start: number, end: number, id: number | undefined): void => {
      if (end > start) sections.push({ start, text: text.slice(start, end), id });
    };
    for (let at = 0; at < text.length; ) {
      const entry = longestAt(text, at);
      if (entry === undefined) {
        at++;
        continue;
      }
      let [start, end] = [at, at + entry.text.length];
      at = end;
      const { token, id } = entry;
      if (readsSpecial && token.special) continue;
      if (token.single_word && (isWordAt(text, start, -1) || isWordAt(text, end, 1))) continue;
      if (token.lstrip) while (start > done && isSpace(text[start - 1]!)) start--;
      if (token.rstrip) while (end < text.length && isSpace(text[end]!)) end++;
      take(done, start, undefined);
      take(start, end, id);
      done = end;
    }
    take(done, text.length, undefined);
    return sections;
  };
}

const isSpace = (character: string): boolean => /^\p{White_Space}$/u.test(character);

/** Whether the character before (-1) or after (1) a place is of a word. */
function isWordAt(text: string, place: number, side: -1 | 1): boolean {
  const near = side < 0 ? text.slice(Math.max(0, place - 2), place) : text.slice(place, place + 2);
  const character = side < 0 ? [...near].at(-1) : [...near][0];
  return character !== undefined && /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u.test(character);
}
