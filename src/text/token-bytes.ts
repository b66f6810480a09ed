// The bytes a single token stands for, which its decoded text cannot tell: half a character decodes to U+FFFD, and a
// decoder that strips the first space makes "▁a" and "a" alike. Byte-level vocabularies (GPT-2's bytes_to_unicode)
// spell each byte as one printable character; SentencePiece spells a space as U+2581 and a lone byte as <0x0A>.

const SPACE = '\u2581';

/** Bytes of tokens, by what the decoder of tokenizer.json is made of. `isAdded` ids are spelt as they read. */
export function createTokenBytes(
  decoder: unknown,
  words: ReadonlyMap<number, string>,
  isAdded: (id: number) => boolean,
): (token: number) => Uint8Array {
  const byteLevel = kindsOf(decoder).has('ByteLevel') ? byteAlphabet() : undefined;
  const encoder = new TextEncoder();
  return (token) => {
    const word = words.get(token);
    if (word === undefined) return new Uint8Array();
    if (isAdded(token)) return encoder.encode(word);
    if (byteLevel) return Uint8Array.from([...word].flatMap((one) => byteLevel.get(one) ?? [...encoder.encode(one)]));
    const byte = /^<0x([0-9A-F]{2})>$/i.exec(word);
    return byte ? Uint8Array.of(Number.parseInt(byte[1]!, 16)) : encoder.encode(word.replaceAll(SPACE, ' '));
  };
}

/** The types of a decoder and of those it is a sequence of. */
function kindsOf(decoder: unknown): Set<unknown> {
  const { type, decoders } = (decoder ?? {}) as { type?: unknown; decoders?: unknown };
  const inner = Array.isArray(decoders) ? decoders.map((one) => (one as { type?: unknown } | null)?.type) : [];
  return new Set([type, ...inner]);
}

/** GPT-2's alphabet: printable Latin-1 bytes are themselves, the others follow from U+0100 in order. */
function byteAlphabet(): Map<string, number> {
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 0x100;
  return new Map(
    Array.from({ length: 256 }, (_, byte) => [String.fromCharCode(isPrintable(byte) ? byte : next++), byte] as const),
  );
}
