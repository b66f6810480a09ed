// Post-processors add the special tokens around a text.

import type { Part } from './part.js';
import { isId } from './vocabulary.js';

/** Ids before and after a text. */
export type Surround = { readonly before: readonly number[]; readonly after: readonly number[] };

const NOTHING: Surround = { before: [], after: [] };

/** @throws CheckpointError E_TEXT_TOKENIZER where it is of a kind we do not implement */
export function readSurround(part: Part | undefined): Surround {
  switch (part?.type) {
    case undefined:
    case 'ByteLevel': // it moves offsets alone
      return NOTHING;
    case 'BertProcessing':
    case 'RobertaProcessing':
      return { before: [idOf(part, 'cls')], after: [idOf(part, 'sep')] };
    case 'TemplateProcessing':
      return template(part);
    case 'Sequence': {
      const all = part.parts('processors').map(readSurround);
      const adding = all.filter(({ before, after }) => before.length + after.length > 0);
      if (adding.length > 1) throw part.unsupported('processors', 'one that adds tokens');
      return adding[0] ?? NOTHING;
    }
    default:
      throw part!.unsupported('type', 'a post-processor we know');
  }
}

function idOf(part: Part, key: string): number {
  const pair = part.raw(key);
  const id = Array.isArray(pair) ? pair[1] : undefined;
  if (!isId(id)) throw part.wrong(key, '[token, id]');
  return id;
}

function template(part: Part): Surround {
  const special = part.part('special_tokens');
  const sides: { before: number[]; after: number[] } = { before: [], after: [] };
  let isAfter = false;
  for (const piece of part.parts('single')) {
    const token = piece.part('SpecialToken');
    if (token === undefined) {
      const text = piece.part('Sequence');
      if (text?.raw('id') !== 'A' || isAfter) throw piece.unsupported('Sequence', 'the text once', text?.raw('id'));
      isAfter = true;
      continue;
    }
    const name = token.text('id');
    const ids = special?.part(name)?.raw('ids');
    if (!Array.isArray(ids) || !ids.every(isId)) throw token.wrong('id', 'one of special_tokens, with ids');
    sides[isAfter ? 'after' : 'before'].push(...ids);
  }
  if (!isAfter) throw part.unsupported('single', 'the text once');
  return sides;
}
