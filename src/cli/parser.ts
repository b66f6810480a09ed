// The parser of the command line, made from the table of commands: words in, a command with its argument and values out.

import { Command, Option } from 'commander';
import { OptionError, VERSION } from '../base/index.js';
import type { CommandSpec } from './command.js';
import { COMMANDS } from './commands/index.js';
import { parseNumber } from './option-values.js';
import { OPTIONS, type OptionSpec, type Values } from './options.js';
import { TOPICS, type Topic } from './topics.js';
import { breakCommand, columns, helpWidth, wrap } from './wrap.js';

const SUMMARY = 'Prunes transformer checkpoints layer by layer, packs them into one file and runs it.';

/** A parsed command line. */
export type Call = { readonly spec: CommandSpec; readonly argument: string; readonly values: Values };

/** The stream for help texts. */
export type Terminal = { readonly columns: number | undefined; readonly write: (text: string) => void };

const STDOUT: Terminal = {
  get columns() {
    return process.stdout.columns;
  },
  write: (text) => process.stdout.write(text),
};

/** A parser that passes each call to `onCall`. */
export function createParser(onCall: (call: Call) => Promise<void>, terminal: Terminal = STDOUT): Command {
  const width = helpWidth(terminal.columns);
  const program = new Command('layerwise').description(SUMMARY).version(VERSION, '--version', 'the version');
  program
    .exitOverride()
    .configureOutput({
      outputError: () => {},
      writeOut: terminal.write,
      getOutHelpWidth: () => width,
      getErrHelpWidth: () => width,
    })
    .configureHelp({ minWidthToWrap: 1 })
    .showHelpAfterError(false);
  program.helpOption('-h, --help', 'this text').helpCommand(false);
  const topics = TOPICS.map(({ name }) => name).join(', ');
  const after = `Each command has --help with examples, and --json for programs. layerwise help lists ${topics}.`;
  program.addHelpText('after', `\n${wrap(after, width).join('\n')}`);
  for (const spec of COMMANDS) {
    addCommand(program, spec, width, async (argument, values) => await onCall({ spec, argument, values }));
  }
  program
    .command('help')
    .description('The help text of a command, or a list of names')
    .argument('[topic]', `a command, or ${topics}`)
    .helpOption('-h, --help', 'this text')
    .action((asked: string | undefined) => help(program, asked, width, terminal));
  return program;
}

/** @throws OptionError E_OPTION_TOPIC */
function help(program: Command, asked: string | undefined, width: number, { write }: Terminal): void {
  const topic = TOPICS.find(({ name }) => name === asked);
  const command = asked === undefined ? program : program.commands.find((one) => one.name() === asked);
  if (topic) write(formatTopic(topic, width));
  else if (command) command.outputHelp();
  else {
    const known = [...TOPICS, ...COMMANDS].map(({ name }) => name);
    throw new OptionError(
      'E_OPTION_TOPIC',
      `layerwise help: expected one of ${known.join(', ')}, got ${JSON.stringify(asked)}.`,
      { option: 'topic', expected: known, got: asked },
    );
  }
}

function formatTopic({ name, flag, text, rows }: Topic, width: number): string {
  const head = wrap(`${name} (${flag}): ${text}`, width);
  const table = columns(
    rows.map((row) => [row.name, row.summary]),
    width,
  );
  return `${[...head, '', ...table].join('\n')}\n`;
}

/** Parses words (without the program’s name) into a call. @throws CommanderError, OptionError */
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
  width: number,
  action: (argument: string, values: Values) => Promise<void>,
): void {
  const command = program.command(spec.name).description(spec.summary).helpOption('-h, --help', 'this text');
  if (spec.argument) command.argument(`<${spec.argument.name}>`, spec.argument.text);
  // Two commands may give the same flag different meanings, under different names.
  const attributes = new Map<string, string>();
  for (const name of spec.options) {
    const { kind, flag, value, text, otherwise }: OptionSpec = OPTIONS[name];
    const option = new Option(kind === 'flag' ? flag : `${flag} <${value}>`, describe(text, otherwise));
    if (kind === 'number') option.argParser((word: string) => parseNumber(flag, word));
    command.addOption(option);
    attributes.set(name, option.attributeName());
  }
  command.option('--json', 'print one JSON document on stdout');
  const examples = spec.examples.map(({ what, command: line }) => {
    const lines = [...wrap(what, width - 4).map((one) => `# ${one}`), ...breakCommand(line, width - 2).split('\n')];
    return lines.map((one) => `  ${one}`).join('\n');
  });
  const details = wrap(spec.details.replaceAll('`', ''), width).join('\n');
  command.addHelpText('after', `\n${details}\n\nExamples:\n${examples.join('\n\n')}`);
  command.action(async (...given: readonly unknown[]) => {
    const [argument, parsed] = (spec.argument ? given : ['', ...given]) as [string, Readonly<Record<string, unknown>>];
    const values = [...attributes].map(([name, attribute]) => [name, parsed[attribute]] as const);
    await action(argument, Object.fromEntries(values.filter(([, value]) => value !== undefined)) as Values);
  });
}

const describe = (text: string, otherwise: string | undefined): string =>
  otherwise === undefined ? text : `${text} (default: ${otherwise})`;
