// Normalizers change a text before it is cut. charsmap.ts has SentencePiece’s compiled one. White space, punctuation and
// categories are Unicode’s, as in the Rust library; JavaScript’s \s and trim differ (U+FEFF, U+0085).

import { spellBytes } from './byte-level.js';
import { readCharsmap } from './charsmap.js';
import type { Part } from './part.js';
import { readExpression } from './pattern.js';

export type Normalise = (text: string) => string;

export type Normaliser = {
  readonly normalise: Normalise;
  /** May remove characters at the beginning of a text, so that the origin of its first character is unknown. */
  readonly mayDropFirst: boolean;
};

/** @throws CheckpointError E_TEXT_TOKENIZER where it is of a kind we do not implement */
export function readNormaliser(part: Part): Normaliser {
  switch (part.type) {
    case 'Sequence': {
      const all = part.parts('normalizers').map(readNormaliser);
      return {
        normalise: (text) => all.reduce((so, { normalise }) => normalise(so), text),
        mayDropFirst: all.some(({ mayDropFirst }) => mayDropFirst),
      };
    }
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD': {
      const form = part.type;
      return keeps((text) => text.normalize(form));
    }
    case 'Lowercase':
      return keeps(lowercase);
    case 'Prepend': {
      const prefix = part.text('prepend');
      return keeps((text) => (text === '' ? '' : prefix + text));
    }
    case 'Replace': {
      const [regex, content] = [readExpression(part), part.text('content')];
      return { normalise: (text) => text.replace(regex, () => content), mayDropFirst: content === '' };
    }
    case 'Strip': {
      const [left, right] = [part.flag('strip_left'), part.flag('strip_right')];
      return { normalise: (text) => strip(text, left, right), mayDropFirst: left };
    }
    case 'StripAccents':
      return drops((text) => text.replace(/\p{M}/gu, ''));
    case 'Nmt':
      return drops((text) => text.replace(NMT_GONE, '').replace(NMT_SPACE, ' '));
    case 'ByteLevel':
      return keeps(spellBytes);
    case 'BertNormalizer':
      return readBert(part);
    case 'Precompiled':
      return keeps(readCharsmap(part));
    default:
      throw part.unsupported('type', 'a normalizer we know');
  }
}

const keeps = (normalise: Normalise): Normaliser => ({ normalise, mayDropFirst: false });
const drops = (normalise: Normalise): Normaliser => ({ normalise, mayDropFirst: true });

/** Character by character: a Σ at the end of a word is σ. */
const lowercase = (text: string): string => text.replaceAll('Σ', 'σ').toLowerCase();

function strip(text: string, left: boolean, right: boolean): string {
  let [start, end] = [0, text.length];
  while (left && start < end && isSpace(text[start]!)) start++;
  while (right && end > start && isSpace(text[end - 1]!)) end--;
  return text.slice(start, end);
}

const isSpace = (character: string): boolean => /^\p{White_Space}$/u.test(character);

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is dropped
const NMT_GONE = /[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]/g;
const NMT_SPACE = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g;

const BERT_GONE = /(?![\t\n\r])[\0\ufffd\p{Cc}\p{Cf}\p{Co}]/gu;
const CHINESE =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

function readBert(part: Part): Normaliser {
  const [cleans, chinese, lower] = [part.flag('clean_text'), part.flag('handle_chinese_chars'), part.flag('lowercase')];
  const accents = part.flag('strip_accents', lower);
  return drops((given) => {
    let text = given;
    if (cleans) text = text.replace(BERT_GONE, '').replace(/\p{White_Space}/gu, ' ');
    if (chinese) text = text.replace(CHINESE, ' $& ');
    if (accents) text = text.normalize('NFD').replace(/\p{Mn}/gu, '');
    return lower ? lowercase(text) : text;
  });
}
