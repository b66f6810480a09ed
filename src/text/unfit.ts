// Finds strings that are not valid text: bytes that are not UTF-8, and lone surrogates, which JSON can write ("\ud83d") and
// UTF-8 cannot. Decoders silently replace them by U+FFFD; here they are found, so that they can be refused with their
// place.

/** Replaces a string whose bytes are not UTF-8. */
export class NotUtf8 {
  readonly offset: number;
  readonly byte: number;

  constructor(offset: number, byte: number) {
    this.offset = offset;
    this.byte = byte;
  }
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The string, including its byte-order mark; or a NotUtf8 that says what is wrong. */
export function decodeStrictly(bytes: Uint8Array): string | NotUtf8 {
  try {
    return strict.decode(bytes);
  } catch {
    const offset = firstInvalidByte(bytes);
    return new NotUtf8(offset, bytes[offset]!);
  }
}

/** Where the sequence that does not fit begins: bisect on prefixes, which fail from its offending byte on, then step back. */
export function firstInvalidByte(bytes: Uint8Array): number {
  const fails = (end: number, stream: boolean): boolean => {
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, end), { stream });
      return false;
    } catch {
      return true;
    }
  };
  let low = 0;
  let high = bytes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (fails(middle, true)) high = middle;
    else low = middle + 1;
  }
  // The input may also end within a sequence: then no prefix fails, but the whole does.
  let start = fails(low, true) ? low - 1 : low;
  while (start > 0 && fails(start, false)) start--;
  return start;
}

/** Describes the first invalid text in a value, at any depth; undefined where all text is valid. */
export function describeUnfit(value: unknown): string | undefined {
  if (typeof value === 'string') {
    const at = value.search(/\p{Surrogate}/u);
    if (at < 0) return undefined;
    return `\\u${value.charCodeAt(at).toString(16)}, a lone surrogate, at character ${at}`;
  }
  if (value instanceof NotUtf8) return `byte ${value.offset} (0x${value.byte.toString(16)}) does not fit UTF-8`;
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [key, inner] of Object.entries(value)) {
    const found = describeUnfit(key) ?? describeUnfit(inner);
    if (found) return found;
  }
  return undefined;
}
