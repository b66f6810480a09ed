// The bytes of a single token, which its decoded text does not show: part of a character decodes to U+FFFD, and a decoder
// that strips the first space makes "▁a" and "a" equal. Byte-level vocabularies (GPT-2’s bytes_to_unicode) spell each byte
// as one printable character; SentencePiece spells a space as U+2581 and a lone byte as <0x0A>.

import { bytesOfWord } from './byte-level.js';
import { byteOfWord } from './decode.js';
import type { Part } from './part.js';

/**
 * The bytes of words, by the parts of tokenizer.json’s decoder. Added words that are not normalised are spelt as they read.
 */
export function createTokenBytes(decoder: Part | undefined): (word: string, isLiteral: boolean) => Uint8Array {
  const parts = decoder?.type === 'Sequence' ? decoder.parts('decoders') : decoder ? [decoder] : [];
  if (parts.some(({ type }) => type === 'ByteLevel')) return bytesOfWord;
  const hasBytes = parts.some(({ type }) => type === 'ByteFallback');
  const spaces = parts.flatMap((part) => {
    const text =
      part.type === 'Metaspace' ? part.raw('replacement') : isSpace(part) ? part.part('pattern')?.raw('String') : '';
    return typeof text === 'string' && text !== '' ? [text] : [];
  });
  const encoder = new TextEncoder();
  return (word, isLiteral) => {
    const byte = hasBytes ? byteOfWord(word) : undefined;
    if (byte !== undefined) return Uint8Array.of(byte);
    return encoder.encode(isLiteral ? word : spaces.reduce((text, space) => text.replaceAll(space, ' '), word));
  };
}

const isSpace = (part: Part): boolean => part.type === 'Replace' && part.raw('content') === ' ';
