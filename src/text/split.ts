// Pre-tokenizers cut a normalised text into the pieces that the model reads. Each passes on its pieces one by one, without
// empty ones. Metaspace’s "first" needs to know whether a piece begins where the whole text begins.

import { spellBytes } from './byte-level.js';
import { compileExpression } from './expression.js';
import type { Part } from './part.js';
import { BEHAVIOURS, type Behaviour, cut, literal, matchesOf, type Pattern, readExpression } from './pattern.js';

export type TakePiece = (piece: string, isFirst: boolean) => void;

/** Cuts a text; `isFirst` says whether it begins where the whole text does. */
export type Split = (text: string, isFirst: boolean, take: TakePiece) => void;

export type Splitter = {
  readonly split: Split;
  /** Depends on where the whole text begins. */
  readonly asksForFirst: boolean;
};

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const PUNCTUATION = /[\p{P}!-/:-@[-`{-~]/gu;
const WORDS =
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu;

/** @throws CheckpointError E_TEXT_TOKENIZER where it is of a kind we do not implement */
export function readSplitter(part: Part): Splitter {
  switch (part.type) {
    case 'Sequence': {
      const all = part.parts('pretokenizers').map(readSplitter);
      return { split: chain(all.map(({ split }) => split)), asksForFirst: all.some((one) => one.asksForFirst) };
    }
    case 'ByteLevel':
      return plain(byteLevel(part.flag('add_prefix_space'), part.flag('use_regex', true)));
    case 'Metaspace':
      return metaspace(part);
    case 'Split': {
      const matches = matchesOf(readExpression(part));
      return plain(by(part.flag('invert') ? invert(matches) : matches, part.choice('behavior', BEHAVIOURS)));
    }
    case 'Punctuation':
      return plain(by(matchesOf(PUNCTUATION), part.choice('behavior', BEHAVIOURS, 'Isolated')));
    case 'Digits': {
      const behaviour = part.flag('individual_digits') ? 'Isolated' : 'Contiguous';
      return plain(by(matchesOf(/\p{N}/gu), behaviour));
    }
    case 'Whitespace':
      return plain(by(invert(matchesOf(WORDS)), 'Removed'));
    case 'WhitespaceSplit':
      return plain(by(matchesOf(/\p{White_Space}/gu), 'Removed'));
    case 'BertPreTokenizer':
      return plain(chain([by(matchesOf(/\p{White_Space}/gu), 'Removed'), by(matchesOf(PUNCTUATION), 'Isolated')]));
    case 'CharDelimiterSplit':
      return plain(by(matchesOf(literal(part.text('delimiter'))), 'Removed'));
    case 'FixedLength':
      return plain(fixedLength(Math.max(1, part.count('length', 5))));
    default:
      throw part.unsupported('type', 'a pre-tokenizer we know');
  }
}

const plain = (split: Split): Splitter => ({ split, asksForFirst: false });

const chain = (splits: readonly Split[]): Split =>
  splits.reduceRight<Split>(
    (rest, split) => (text, isFirst, take) => split(text, isFirst, (piece, first) => rest(piece, first, take)),
    (text, isFirst, take) => take(text, isFirst),
  );

const by =
  (pattern: Pattern, behaviour: Behaviour): Split =>
  (text, isFirst, take) => {
    for (const { start, end } of cut(pattern(text), behaviour)) {
      if (end > start) take(text.slice(start, end), isFirst && start === 0);
    }
  };

const invert =
  (pattern: Pattern): Pattern =>
  (text) =>
    pattern(text).map((one) => ({ ...one, isMatch: !one.isMatch }));

function byteLevel(addsSpace: boolean, usesRegex: boolean): Split {
  const pieces: Split = usesRegex
    ? by(matchesOf(compileExpression(GPT2)), 'Isolated')
    : (text, first, take) => take(text, first);
  return (text, isFirst, take) =>
    pieces(addsSpace && !text.startsWith(' ') ? ` ${text}` : text, isFirst, (piece, first) =>
      take(spellBytes(piece), first),
    );
}

function metaspace(part: Part): Splitter {
  const replacement = part.text('replacement');
  let scheme = part.choice('prepend_scheme', ['always', 'first', 'never'], 'always');
  if (part.has('add_prefix_space') && !part.flag('add_prefix_space')) {
    if (part.has('prepend_scheme') && scheme !== 'never')
      throw part.wrong('prepend_scheme', 'never, as add_prefix_space is false');
    scheme = 'never';
  }
  const pieces: Split = part.flag('split', true)
    ? by(matchesOf(literal(replacement)), 'MergedWithNext')
    : (text, first, take) => take(text, first);
  return {
    asksForFirst: scheme === 'first',
    split: (given, isFirst, take) => {
      const text = given.replaceAll(' ', () => replacement);
      const prepends = scheme === 'always' || (scheme === 'first' && isFirst);
      pieces(prepends && !text.startsWith(replacement) ? replacement + text : text, isFirst, take);
    },
  };
}

const fixedLength =
  (length: number): Split =>
  (text, isFirst, take) => {
    const characters = [...text];
    for (let i = 0; i < characters.length; i += length)
      take(characters.slice(i, i + length).join(''), isFirst && i === 0);
  };
