// What a command is: an argument, some of the options, and a function from their values to what is printed. The table of
// all commands is commands/index.ts; main.ts makes a parser of it, scripts/docs a page each.

import type { OnProgress } from '../base/index.js';
import type { OptionName, Values } from './options.js';

/** What a command has to say: one JSON document for `--json`, or text for people where it has not been written already. */
export type Output = { readonly json: unknown; readonly text?: string };

/** What else a command is given. */
export type Surroundings = {
  /** Writes text for people to stdout before the command is done; does nothing with `--json`. */
  readonly write: (text: string) => void;
  /** Aborted by the first SIGINT or SIGTERM, for a command that `stopsItself`; a second one ends the process. */
  readonly stop: AbortSignal;
};

export type Example = { readonly what: string; readonly command: string };

export type CommandSpec<K extends OptionName = OptionName> = {
  readonly name: string;
  readonly summary: string;
  readonly argument: { readonly name: string; readonly text: string };
  readonly options: readonly K[];
  /** Options that must be given. */
  readonly required?: readonly K[];
  /** What the page and the end of the help text say beyond the options. */
  readonly details: string;
  readonly examples: readonly Example[];
  /** Whether it listens to `stop` instead of being ended by a signal. */
  readonly stopsItself?: boolean;
  run(argument: string, values: Values<K>, onProgress: OnProgress, around: Surroundings): Promise<Output>;
};

/** What every command that reads a model is given. */
export const CHECKPOINT = {
  name: 'checkpoint',
  text: 'directory of a Hugging Face checkpoint, or a model on the Hub as org/name or org/name@revision (docs/hub.md)',
};

/** What every command that writes text is given. */
export const RUNNABLE = { name: 'model', text: `a .lw file, or ${CHECKPOINT.text}` };

/** Lets a command's `run` see exactly the options it names. */
export function defineCommand<const K extends OptionName>(spec: CommandSpec<K>): CommandSpec {
  return spec as unknown as CommandSpec;
}
