// Patterns of tokenizer.json, strings or expressions, and what is done with their matches. As in the Rust library, matches
// are contiguous stretches of the text, each a match or not.

import { compileExpression } from './expression.js';
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

function compile(part: Part, key: string): RegExp {
  try {
    return compileExpression(part.text(key));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw part.unsupported(key, 'an expression that can be run', `${part.text(key)} (${error.message})`);
  }
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

/** What is done with the matches when a text is split; empty pieces are kept. */
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
