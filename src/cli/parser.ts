// The parser of the command line, made from the table of commands: words in, a command with its argument and values out.

import { Command, Option } from 'commander';
import { VERSION } from '../base/index.js';
import type { CommandSpec } from './command.js';
import { COMMANDS } from './commands/index.js';
import { OPTIONS, type OptionSpec, parseNumber, type Values } from './options.js';

const SUMMARY = 'Makes a transformer checkpoint smaller and faster by deciding layer by layer.';

/** What a command line asks for. */
export type Call = { readonly spec: CommandSpec; readonly argument: string; readonly values: Values };

/** A parser that hands each call to `onCall`. */
export function createParser(onCall: (call: Call) => Promise<void>): Command {
  const program = new Command('layerwise').description(SUMMARY).version(VERSION, '--version', 'the version');
  program
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .showHelpAfterError(false);
  program.helpOption('-h, --help', 'this text').helpCommand('help [command]', 'the help text of a command');
  program.addHelpText('after', '\nEach command has --help with examples, and --json for programs.');
  for (const spec of COMMANDS) {
    addCommand(program, spec, async (argument, values) => await onCall({ spec, argument, values }));
  }
  return program;
}

/** The call that words (without the program's name) make. @throws CommanderError, OptionError */
export async function parseCall(words: readonly string[]): Promise<Call> {
  const calls: Call[] = [];
  await createParser(async (call) => {
    calls.push(call);
  }).parseAsync(words, { from: 'user' });
  return calls[0]!;
}

function addCommand(
  program: Command,
  spec: CommandSpec,
  action: (argument: string, values: Values) => Promise<void>,
): void {
  const command = program.command(spec.name).description(spec.summary).helpOption('-h, --help', 'this text');
  command.argument(`<${spec.argument.name}>`, spec.argument.text);
  // Two commands may give one flag different meanings, under different names.
  const attributes = new Map<string, string>();
  for (const name of spec.options) {
    const { kind, flag, value, text, otherwise }: OptionSpec = OPTIONS[name];
    const option = new Option(kind === 'flag' ? flag : `${flag} <${value}>`, describe(text, otherwise));
    if (kind === 'number') option.argParser((word: string) => parseNumber(flag, word));
    command.addOption(option);
    attributes.set(name, option.attributeName());
  }
  command.option('--json', 'print one JSON document on stdout');
  const examples = spec.examples.map(({ what, command: line }) => `  # ${what}\n  ${line}`).join('\n\n');
  command.addHelpText('after', `\n${spec.details.replaceAll('`', '')}\n\nExamples:\n${examples}`);
  command.action(async (argument: string, parsed: Readonly<Record<string, unknown>>) => {
    const values = [...attributes].map(([name, attribute]) => [name, parsed[attribute]] as const);
    await action(argument, Object.fromEntries(values.filter(([, value]) => value !== undefined)) as Values);
  });
}

const describe = (text: string, otherwise: string | undefined): string =>
  otherwise === undefined ? text : `${text} (default: ${otherwise})`;
