// Patterns of tokenizer.json: texts, or expressions of Oniguruma, which @huggingface/tokenizers rewrites for JavaScript. What
// it would rewrite to something else is refused, and what it does not fold is folded here. Matches are those of the Rust
// library: contiguous stretches of the text, each a match or not.

import * as library from '@huggingface/tokenizers';
import type { Part } from './part.js';

/** A stretch of a text, in code units. */
export type Stretch = { readonly start: number; readonly end: number; readonly isMatch: boolean };

/** Finds all stretches of a text, in order and without gaps. */
export type Pattern = (text: string) => readonly Stretch[];

/** The expression of `part.pattern`. @throws CheckpointError E_TEXT_TOKENIZER where it cannot be run */
export function readExpression(part: Part): RegExp {
  const pattern = part.part('pattern');
  if (pattern?.has('String')) return literal(pattern.text('String'));
  if (pattern?.has('Regex')) return compile(pattern, 'Regex');
  throw part.wrong('pattern', '{"String": …} or {"Regex": …}');
}

/** An expression that matches a text. */
export const literal = (text: string): RegExp => new RegExp(text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'gu');

// The package exports this class; its types do not, as they are written for another way of resolving modules.
const { SplitPreTokenizer } = library as unknown as {
  readonly SplitPreTokenizer: new (config: object) => { readonly pattern: RegExp | null };
};

/** An expression as Oniguruma reads it. */
export function expression(source: string): RegExp {
  const config = {
    type: 'Split',
    pattern: { Regex: foldLetters(source) },
    behavior: 'Isolated',
    invert: false,
  } as const;
  const { pattern } = new SplitPreTokenizer(config);
  if (pattern === null) throw new SyntaxError('no expression');
  return pattern;
}

function compile(part: Part, key: string): RegExp {
  const source = part.text(key);
  const token = tokens(source).find(({ text }) => text === '(?>' || /^[?*+]\+$/.test(text));
  if (token)
    throw part.unsupported(key, `an expression without atomic groups and possessive quantifiers (${token.text})`);
  try {
    return expression(source);
  } catch (error) {
    throw part.unsupported(key, 'an expression that can be run', `${source} (${(error as Error).message})`);
  }
}

type SourceToken = { readonly text: string; readonly inClass: boolean };

/** The parts of an expression, as far as they matter here: escapes, openings of groups, two quantifiers, single characters. */
function tokens(source: string): readonly SourceToken[] {
  let depth = 0;
  return [...source.matchAll(/\\[pP]\{[^}]*\}|\\[\s\S]|\(\?(?:[a-zA-Z]+:|<[=!]|[:=!>])|[?*+]\+|[\s\S]/gu)].flatMap(
    ([text]) => {
      const inClass = depth > 0;
      if (text === '[') depth++;
      else if (text === ']' && inClass) depth--;
      // Inside a class a quantifier is two characters.
      if (inClass && text.length > 1 && !text.startsWith('\\')) return [...text].map((one) => ({ text: one, inClass }));
      return [{ text, inClass }];
    },
  );
}

/** In (?i:…), s is also ſ and k also K: the two letters of ASCII with a third form, which the library does not know. */
function foldLetters(source: string): string {
  const open: boolean[] = [];
  return tokens(source)
    .map(({ text, inClass }) => {
      if (!inClass && text.startsWith('(')) open.push(text === '(?i:' || open.at(-1) === true);
      else if (!inClass && text === ')') open.pop();
      const more = open.at(-1) ? { s: 'sSſ', k: 'kK\u212a' }[text.toLowerCase()] : undefined;
      return more === undefined ? text : inClass ? more : `[${more}]`;
    })
    .join('');
}

/** V8 finds empty matches there, where a lookaround is negative. */
const isInsidePair = (text: string, at: number): boolean =>
  /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(at - 1, at + 1));

/** The stretches of a global expression. An empty match right after a match is none, as in Oniguruma. */
export const matchesOf =
  (regex: RegExp): Pattern =>
  (text) => {
    const found: Stretch[] = [];
    let end = 0;
    let isAfterMatch = false;
    for (const match of text.matchAll(regex)) {
      const { index } = match;
      const stop = index + match[0].length;
      if (stop === index && (isInsidePair(text, index) || (isAfterMatch && index === end))) continue;
      if (index > end) found.push({ start: end, end: index, isMatch: false });
      found.push({ start: index, end: stop, isMatch: true });
      end = stop;
      isAfterMatch = true;
    }
    if (end < text.length) found.push({ start: end, end: text.length, isMatch: false });
    return found;
  };

export const BEHAVIOURS = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const;
export type Behaviour = (typeof BEHAVIOURS)[number];

/** What becomes of the matches of a text that is split; empty pieces are left in. */
export function cut(stretches: readonly Stretch[], behaviour: Behaviour): readonly Stretch[] {
  switch (behaviour) {
    case 'Isolated':
      return stretches;
    case 'Removed':
      return stretches.filter(({ isMatch }) => !isMatch);
    case 'Contiguous':
      return merge(stretches, (isMatch, wasMatch) => isMatch === wasMatch);
    case 'MergedWithPrevious':
      return merge(stretches, (isMatch, wasMatch) => isMatch && !wasMatch);
    case 'MergedWithNext':
      return merge([...stretches].reverse(), (isMatch, wasMatch) => isMatch && !wasMatch).reverse();
    default:
      return behaviour satisfies never;
  }
}

function merge(stretches: readonly Stretch[], joins: (isMatch: boolean, wasMatch: boolean) => boolean): Stretch[] {
  const merged: Stretch[] = [];
  let wasMatch = false;
  for (const { start, end, isMatch } of stretches) {
    const last = merged.at(-1);
    if (last && joins(isMatch, wasMatch)) {
      merged[merged.length - 1] = { ...last, start: Math.min(last.start, start), end: Math.max(last.end, end) };
    } else {
      merged.push({ start, end, isMatch });
    }
    wasMatch = isMatch;
  }
  return merged;
}
