// A command: an argument, some of the options, and a function from their values to its output. commands/index.ts is the
// table of all commands; main.ts makes a parser of it, scripts/docs a page for each.

import type { OnProgress } from '../base/index.js';
import type { OptionName, Values } from './options.js';

/** The output of a command: one JSON document for `--json`, or text for people unless it has been written already. */
export type Output = { readonly json: unknown; readonly text?: string };

/** The other inputs of a command. */
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
  /** Most commands have one. */
  readonly argument?: { readonly name: string; readonly text: string };
  readonly options: readonly K[];
  /** Required options. */
  readonly required?: readonly K[];
  /** Details for the page and the end of the help text. */
  readonly details: string;
  readonly examples: readonly Example[];
  /** Whether it handles `stop` itself instead of being ended by a signal. */
  readonly stopsItself?: boolean;
  /** `argument` is empty where there is none. */
  run(argument: string, values: Values<K>, onProgress: OnProgress, around: Surroundings): Promise<Output>;
};

/** The argument of every command that reads a model. */
export const CHECKPOINT = {
  name: 'checkpoint',
  text: 'directory of a Hugging Face checkpoint, a .gguf file (docs/guide/gguf.md), or a model on the Hub as org/name or org/name@revision (docs/guide/hub.md)',
};

/** The argument of every command that writes text. */
export const RUNNABLE = { name: 'model', text: `a .lw file, or ${CHECKPOINT.text}` };

/** Types a command’s `run` so that it sees exactly the options it names. */
export function defineCommand<const K extends OptionName>(spec: CommandSpec<K>): CommandSpec {
  return spec as unknown as CommandSpec;
}
