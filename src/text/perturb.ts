// The same text in another form, for asking whether a plan that was found on one form holds for another. Every word stays, in
// its order; only white space or case changes. The same text always gives the same result.

/** Words between two blank lines. */
const WORDS_PER_PARAGRAPH = 40;

/** The perturbations, by name. */
export const PERTURBATIONS = {
  /** A blank line after every 40 words, in place of the white space there. */
  'blank-lines': (text: string): string => {
    let words = 0;
    return text.replace(/\s+/g, (space, at: number) => {
      if (at === 0 || at + space.length === text.length) return space;
      return ++words % WORDS_PER_PARAGRAPH === 0 ? '\n\n' : space;
    });
  },
  /** White space with a line break in it becomes one space; none is left at the ends. */
  'no-breaks': (text: string): string =>
    text.replace(/\s+/g, (space) => (/[\n\r\u2028\u2029]/.test(space) ? ' ' : space)).trim(),
  /** Lower case, whatever the machine's language. */
  'lower-case': (text: string): string => text.toLowerCase(),
} as const satisfies Readonly<Record<string, (text: string) => string>>;

export type Perturbation = keyof typeof PERTURBATIONS;
