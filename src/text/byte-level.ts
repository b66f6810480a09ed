// GPT-2's alphabet: each byte is spelt as one printable character. Printable Latin-1 bytes are themselves, the others follow
// from U+0100 in order.

const isPrintable = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;

let next = 0x100;
const LETTERS: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  String.fromCharCode(isPrintable(byte) ? byte : next++),
);
const BYTES: ReadonlyMap<string, number> = new Map(LETTERS.map((letter, byte) => [letter, byte]));

const encoder = new TextEncoder();

/** The bytes of a text, spelt. */
export function spellBytes(text: string): string {
  let spelt = '';
  for (const byte of encoder.encode(text)) spelt += LETTERS[byte];
  return spelt;
}

/** The bytes a word spells; a word with any other character in it stands for its own text. */
export function bytesOfWord(word: string): Uint8Array {
  const bytes = new Uint8Array(word.length);
  for (let i = 0; i < word.length; i++) {
    const byte = BYTES.get(word[i]!);
    if (byte === undefined) return encoder.encode(word);
    bytes[i] = byte;
  }
  return bytes;
}
