// Text as Python counts and trims it: characters are code points, and white space is what `str.isspace` accepts.

/** For use inside a character class. JavaScript's \s also matches U+FEFF, and misses U+0085 and U+001C to U+001F. */
export const PYTHON_SPACE = '\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

const SPACE = new RegExp(`^[${PYTHON_SPACE}]$`);

/** `str.lstrip()`. A loop, because an expression such as \s+$ takes n² steps for n spaces that are not at the end. */
export function trimStart(text: string): string {
  let from = 0;
  while (from < text.length && SPACE.test(text[from]!)) from++;
  return text.slice(from);
}

/** `str.rstrip()` */
export function trimEnd(text: string): string {
  let to = text.length;
  while (to > 0 && SPACE.test(text[to - 1]!)) to--;
  return text.slice(0, to);
}

/** `len(str)`: code points. `length` counts a character past U+FFFF twice. */
export function countCharacters(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
