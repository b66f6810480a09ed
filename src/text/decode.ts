// Decoders turn the words of tokens into a text. Each turns a list of words into another; the words that are left are
// joined.

import { bytesOfWord } from './byte-level.js';
import type { Part } from './part.js';
import { cut, matchesOf, readExpression } from './pattern.js';

export type Decode = (words: readonly string[]) => readonly string[];

/** The text of bytes in a row, each spelt as a word of its own (<0xC3>). */
export type ReadBytes = (bytes: Uint8Array) => string;

/** As in the Rust library: where they are not UTF-8, each of them becomes U+FFFD, including valid ones before. */
export const readWholeBytes: ReadBytes = (bytes) => {
  try {
    return strict.decode(bytes);
  } catch {
    return '\ufffd'.repeat(bytes.length);
  }
};

/** Bytes that are not UTF-8 become U+FFFD and the rest is read, so that more bytes do not change the text before them. */
export const readEachByte: ReadBytes = (bytes) => utf8.decode(bytes);

/** @throws CheckpointError E_TEXT_TOKENIZER where it is of a kind we do not implement */
export function readDecoder(part: Part, readBytes: ReadBytes): Decode {
  switch (part.type) {
    case 'Sequence': {
      const all = part.parts('decoders').map((one) => readDecoder(one, readBytes));
      return (words) => all.reduce((so, decode) => decode(so), words);
    }
    case 'ByteLevel':
      return (words) => [utf8.decode(join(words.map(bytesOfWord)))];
    case 'ByteFallback':
      return byteFallback(readBytes);
    case 'Fuse':
      return (words) => [words.join('')];
    case 'Replace': {
      const [matches, content] = [matchesOf(readExpression(part)), part.text('content')];
      return each((word) =>
        cut(matches(word), 'Isolated')
          .map(({ start, end, isMatch }) => (isMatch ? content : word.slice(start, end)))
          .join(''),
      );
    }
    case 'Strip': {
      const [content, start, stop] = [part.text('content'), part.count('start'), part.count('stop')];
      return each((word) => strip([...word], content, start, stop));
    }
    case 'Metaspace': {
      const replacement = part.text('replacement');
      const scheme = part.choice('prepend_scheme', ['always', 'first', 'never'], 'always');
      const prepends = scheme !== 'never' && part.flag('add_prefix_space', true);
      return (words) => words.map((word, i) => word.replaceAll(replacement, () => (i === 0 && prepends ? '' : ' ')));
    }
    case 'WordPiece': {
      const [prefix, cleans] = [part.text('prefix', '##'), part.flag('cleanup', true)];
      return (words) =>
        words.map((word, i) => {
          const text = i === 0 ? word : word.startsWith(prefix) ? word.slice(prefix.length) : ` ${word}`;
          return cleans ? cleanUp(text) : text;
        });
    }
    case 'BPEDecoder': {
      const suffix = part.text('suffix', '</w>');
      return (words) => words.map((word, i) => word.replaceAll(suffix, () => (i === words.length - 1 ? '' : ' ')));
    }
    default:
      throw part.unsupported('type', 'a decoder we know');
  }
}

const each =
  (change: (word: string) => string): Decode =>
  (words) =>
    words.map(change);

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The byte a word like <0x0A> stands for. The Rust library reads <0x+A> too. */
export function byteOfWord(word: string): number | undefined {
  const hex = /^<0x(\+[0-9a-f]|[0-9a-f]{2})>$/i.exec(word)?.[1];
  return hex === undefined ? undefined : Number.parseInt(hex, 16);
}

const byteFallback =
  (readBytes: ReadBytes): Decode =>
  (words) => {
    const texts: string[] = [];
    let bytes: number[] = [];
    const flush = (): void => {
      if (bytes.length > 0) texts.push(readBytes(Uint8Array.from(bytes)));
      bytes = [];
    };
    for (const word of words) {
      const byte = byteOfWord(word);
      if (byte !== undefined) {
        bytes.push(byte);
        continue;
      }
      flush();
      texts.push(word);
    }
    flush();
    return texts;
  };

function strip(characters: readonly string[], content: string, start: number, stop: number): string {
  let [from, to] = [0, characters.length];
  while (from < start && characters[from] === content) from++;
  while (to > from && characters.length - to < stop && characters[to - 1] === content) to--;
  return characters.slice(from, to).join('');
}

const CLEAN: readonly (readonly [string, string])[] = [
  ...[' .', ' ?', ' !', ' ,'].map((one) => [one, one.slice(1)] as const),
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [' do not', " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

const cleanUp = (text: string): string => CLEAN.reduce((so, [from, to]) => so.replaceAll(from, to), text);
