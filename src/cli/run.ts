// The command line: words in, exit code out. 0 done, 1 failed, 2 wrong usage, 130 interrupted. stdout has only the result
// (text, or one JSON document with --json, also for an error); progress and errors go to stderr.

import { CommanderError } from 'commander';
import { InternalError, LayerwiseError, OptionError } from '../base/index.js';
import type { CommandSpec, Output } from './command.js';
import { COMMANDS } from './commands/index.js';
import { OPTIONS, type OptionSpec, type Values } from './options.js';
import { createParser } from './parser.js';
import { createProgress } from './progress.js';

/** Runs one command line (without the program's name). Never throws; returns the exit code. */
export async function run(words: readonly string[]): Promise<number> {
  process.stdout.on('error', leaveOnClosedPipe);
  const wantsJson = words.includes('--json');
  let code = 0;
  const program = createParser(async ({ spec, argument, values }) => {
    code = await execute(spec, argument, values, wantsJson);
  });
  try {
    await program.parseAsync(words, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    if (error instanceof CommanderError && error.code === 'commander.help') return 2; // no command: the help text is on stderr
    return fail(error instanceof CommanderError ? callError(error, words) : error, wantsJson);
  }
}

async function execute(spec: CommandSpec, argument: string, values: Values, wantsJson: boolean): Promise<number> {
  const progress = createProgress(process.stderr);
  const stop = new AbortController();
  const write = (text: string): void => {
    progress.end();
    if (!wantsJson) process.stdout.write(text);
  };
  const interrupt = (): void => {
    progress.end();
    if (spec.stopsItself && !stop.signal.aborted) {
      stop.abort();
      return;
    }
    const next = (spec.options as readonly string[]).includes('resume')
      ? ' The same command with --resume continues.'
      : '';
    process.stderr.write(`Interrupted.${next}\n`);
    process.exit(130);
  };
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  try {
    requireOptions(spec, values);
    const output = await spec.run(argument, values, progress.onProgress, { write, stop: stop.signal });
    progress.end();
    print(output, wantsJson);
    return 0;
  } catch (error) {
    progress.end();
    return fail(error, wantsJson);
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

/** Checked here, because commander would report missing options before misspelt ones. */
function requireOptions(spec: CommandSpec, values: Values): void {
  for (const name of spec.required ?? []) {
    if (values[name] !== undefined) continue;
    const { flag, value, text }: OptionSpec = OPTIONS[name];
    const word = flag.replace(/^--/, '');
    throw new OptionError(
      `E_OPTION_${word.toUpperCase().replaceAll('-', '_')}`,
      `${flag} <${value}>: expected ${text}, but the option is missing. See layerwise ${spec.name} --help.`,
      { option: word },
    );
  }
}

function print(output: Output, wantsJson: boolean): void {
  const text = wantsJson ? JSON.stringify(output.json, null, 2) : output.text;
  if (text !== undefined) process.stdout.write(`${text}\n`);
}

/** Commander’s error about the call as one of ours, with the next step. */
function callError(error: CommanderError, words: readonly string[]): OptionError {
  const known = COMMANDS.some(({ name }) => name === words[0]);
  const help = known ? `layerwise ${words[0]} --help` : 'layerwise --help';
  const what = error.message.replace(/^error: /, '').replace(/\n/g, ' ');
  return new OptionError('E_OPTION_CALL', `${what.replace(/\.?$/, '.')} See ${help}.`, { commander: error.code });
}

/** Reports an error; returns the exit code. */
function fail(error: unknown, wantsJson: boolean): number {
  const known =
    error instanceof LayerwiseError
      ? error
      : new InternalError(
          'E_INTERNAL_UNEXPECTED',
          `${error instanceof Error ? (error.stack ?? error.message) : error}\nThis should not happen; please report it with the command.`,
          {},
          { cause: error },
        );
  const { code, message, facts } = known;
  process.stderr.write(`layerwise: ${message} (${code})\n`);
  if (wantsJson) process.stdout.write(`${JSON.stringify({ error: { code, message, facts } }, null, 2)}\n`);
  return known instanceof OptionError ? 2 : 1;
}

/** `layerwise … | head` is not an error. */
function leaveOnClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0);
  process.stderr.write(`layerwise: standard output: ${error.message} (E_RESOURCE_OUTPUT)\n`);
  process.exit(1);
}
