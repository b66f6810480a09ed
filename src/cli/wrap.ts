// Text in columns. Help texts are at most 100 columns wide at any width of the terminal, and as narrow as it down to 80.

export const WIDEST = 100;
const NARROWEST = 80;

/** Columns of help texts, from those of the terminal; the widest where there is none. */
export const helpWidth = (columns: number | undefined): number =>
  Math.min(WIDEST, Math.max(NARROWEST, columns ?? WIDEST));

/** Breaks a text between words into lines of at most `width` columns; a word that is longer has a line of its own. */
export function wrap(text: string, width: number): string[] {
  return fill(text.split(/\s+/), width, ' ');
}

/**
 * Breaks a command line before options and pipes, with a backslash at the end of a line that goes on: what is printed can
 * be pasted into a shell.
 */
export function breakCommand(command: string, width: number): string {
  // Outside of quotes: what follows has every quote closed again.
  const pieces = command.split(/ (?=(?:--|\| )(?:[^'"]|'[^']*'|"[^"]*")*$)/);
  const [first, ...others] = fill(pieces, width - 4, ' ');
  return [first, ...others.map((line) => `  ${line}`)].join(' \\\n');
}

/** Rows of two columns, the second one wrapped. */
export function columns(rows: readonly (readonly [string, string])[], width: number): string[] {
  const left = Math.max(...rows.map(([name]) => name.length));
  const indent = ' '.repeat(left + 4);
  return rows.flatMap(([name, text]) =>
    wrap(text, width - indent.length).map((line, i) => (i === 0 ? `  ${name.padEnd(left)}  ${line}` : indent + line)),
  );
}

function fill(pieces: readonly string[], width: number, between: string): string[] {
  const lines: string[] = [];
  for (const piece of pieces) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + between.length + piece.length <= width) {
      lines[lines.length - 1] = last + between + piece;
    } else lines.push(piece);
  }
  return lines;
}
