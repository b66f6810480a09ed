// Where the published forms are defined by what Python does to a string.

/** What Python calls white space; JavaScript has U+FEFF more, and lacks U+0085 and U+001C to U+001F. */
const SPACE = '[\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const LEADING = new RegExp(`^${SPACE}+`);
const TRAILING = new RegExp(`${SPACE}+$`);

/** `str.strip()` */
export const stripPython = (text: string): string => rstripPython(text.replace(LEADING, ''));

/** `str.rstrip()` */
export const rstripPython = (text: string): string => text.replace(TRAILING, '');

/** `len(str)`: characters, not UTF-16 units. */
export function lengthPython(text: string): number {
  let length = 0;
  for (const _ of text) length++;
  return length;
}
