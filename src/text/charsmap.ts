// SentencePiece’s compiled normalizer: a map from short byte strings to texts, in a double array (Darts). As in the Rust
// library it works grapheme by grapheme if the grapheme has less than six bytes and the map has a prefix of it, else
// character by character; of several entries that fit, the shortest is used.

import type { Part } from './part.js';

/** @throws CheckpointError E_TEXT_TOKENIZER where the map is damaged */
export function readCharsmap(part: Part): (text: string) => string {
  if (!part.has('precompiled_charsmap')) return (text) => text;
  const key = 'precompiled_charsmap';
  const bytes = decodeBase64(part.text(key));
  const size = bytes && bytes.length >= 4 ? new DataView(bytes.buffer).getUint32(0, true) : 0;
  if (bytes === undefined || size === 0 || size % 4 !== 0 || 4 + size > bytes.length)
    throw part.wrong(key, 'a character map in base64');
  const units = new Uint32Array(bytes.slice(4, 4 + size).buffer);
  const texts = bytes.subarray(4 + size);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const encoder = new TextEncoder();
  const known = new Map<string, string | undefined>();

  /** The place in `texts` of the shortest entry that is a prefix of `key`; -1 where there is none. */
  const find = (bytesOfKey: Uint8Array): number => {
    let at = offsetOf(units[0]!);
    for (const byte of bytesOfKey) {
      at ^= byte;
      const unit = byte === 0 ? undefined : units[at];
      if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return -1;
      at ^= offsetOf(unit);
      if ((unit >>> 8) & 1) return (units[at] ?? 0) & 0x7fffffff;
    }
    return -1;
  };
  const transform = (chunk: string): string | undefined => {
    if (known.has(chunk)) return known.get(chunk);
    const start = find(encoder.encode(chunk));
    const text = start < 0 ? undefined : decoder.decode(texts.subarray(start, endOf(texts, start)));
    if (known.size < 65536) known.set(chunk, text);
    return text;
  };
  const characters = (text: string): string => {
    let out = '';
    for (const one of text) out += transform(one) ?? one;
    return out;
  };
  const segmenter = new Intl.Segmenter('und', { granularity: 'grapheme' });
  const graphemes = (text: string): string => {
    let out = '';
    for (const { segment } of segmenter.segment(text)) {
      const whole = encoder.encode(segment).length < 6 ? transform(segment) : undefined;
      out += whole ?? characters(segment);
    }
    return out;
  };
  return (text) => {
    let out = '';
    for (const { start, end, isPlain } of plainStretches(text)) {
      const stretch = text.slice(start, end);
      out += isPlain ? characters(stretch) : graphemes(stretch);
    }
    return out;
  };
}

const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);

function endOf(texts: Uint8Array, start: number): number {
  const end = texts.indexOf(0, start);
  return end < 0 ? texts.length : end;
}

/** Stretches where each character is a grapheme (ASCII but CR, next to ASCII on both sides), and the rest: finding graphemes is slow. */
function* plainStretches(text: string): Generator<{ start: number; end: number; isPlain: boolean }> {
  const isPlainAt = (i: number): boolean => {
    const [before, code, after] = [text.charCodeAt(i - 1), text.charCodeAt(i), text.charCodeAt(i + 1)];
    return code < 0x80 && code !== 0x0d && !(before >= 0x80) && before !== 0x0d && !(after >= 0x80);
  };
  let start = 0;
  while (start < text.length) {
    const isPlain = isPlainAt(start);
    let end = start + 1;
    while (end < text.length && isPlainAt(end) === isPlain) end++;
    yield { start, end, isPlain };
    start = end;
  }
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  } catch {
    return undefined;
  }
}
