// A command of the command line as a record has it: words quoted for a shell, options that are not given left out.

export type CommandLine = {
  /** Adds `--option value`; nothing where there is no value. */
  add(option: string, value: string | number | undefined): void;
  /** Adds `--option name=value,…`; nothing where there are none. */
  pairs(option: string, values: Readonly<Record<string, number>>): void;
  /** Adds `--option` where it is on. */
  flag(option: string, on: boolean): void;
  /** Adds `--option <placeholder>`, for what a reader has to fill in. */
  place(option: string, placeholder: string): void;
  text(): string;
};

export function startCommand(command: string, argument: string): CommandLine {
  const words = ['layerwise', command, quote(argument)];
  const add = (option: string, value: string | number | undefined): void => {
    if (value !== undefined) words.push(`--${option}`, quote(String(value)));
  };
  return {
    add,
    pairs: (option, values) => {
      const pairs = Object.entries(values).map(([name, value]) => `${name}=${value}`);
      if (pairs.length > 0) add(option, pairs.join());
    },
    flag: (option, on) => {
      if (on) words.push(`--${option}`);
    },
    place: (option, placeholder) => void words.push(`--${option}`, placeholder),
    text: () => words.join(' '),
  };
}

/** A word as a shell reads it back. */
export const quote = (word: string): string =>
  /^[\w./@:=,+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
