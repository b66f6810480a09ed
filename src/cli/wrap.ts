// Text in columns. Help texts are at most 100 columns wide on any terminal, and as narrow as the terminal down to 80.

export const WIDEST = 100;
const NARROWEST = 80;

/** The width of help texts for a terminal; the largest where there is no terminal. */
export const helpWidth = (columns: number | undefined): number =>
  Math.min(WIDEST, Math.max(NARROWEST, columns ?? WIDEST));

/** Breaks a text between words into lines of at most `width` columns; a longer word gets its own line. */
export function wrap(text: string, width: number): string[] {
  return fill(text.split(/\s+/), width, ' ');
}

/**
 * Breaks a command line before options and pipes, with a backslash where a line continues, so that it can be pasted into a
 * shell.
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
