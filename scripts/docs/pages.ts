// A command's page under docs/reference/commands, from the declaration that its parser and its help text come from too.

import { breakCommand, type CommandSpec, type OptionName, type OptionSpec, type Topic, WIDEST } from '#src/cli';

/** A cell of a table; outside of code, `<task>` would be taken for HTML, and a list of names is a link to it. */
function cell(text: string, prose = false): string {
  const plain = text.replaceAll('|', '\\|');
  if (!prose) return plain;
  return plain.replaceAll('<', '&lt;').replace(/layerwise help (\w+)/g, '[layerwise help $1](help.md#$1)');
}

/** The page that leads to the commands, and has the lists of names. */
export function renderTopics(topics: readonly Topic[], commands: readonly CommandSpec[]): string {
  const pages = commands.map(({ name, summary }) => `| [${name}](${name}.md) | ${cell(summary, true)} |`);
  const sections = topics.map(({ name, flag, text, rows }) => {
    const lines = rows.map((row) => `| \`${row.name}\` | ${cell(row.summary, true)} |`);
    return `## ${name}\n\n\`${flag}\`: ${text}.\n\n| name | what it is |\n|---|---|\n${lines.join('\n')}\n`;
  });
  return `<!-- Made from src/cli by npm run docs; change it there. -->

# layerwise help

\`layerwise help <command>\` prints the help text of a command, \`layerwise help <topic>\` one of the lists below.

| command | what it does |
|---|---|
${pages.join('\n')}

${sections.join('\n')}`;
}

type Options = Readonly<Record<OptionName, OptionSpec>>;

/** The Markdown of one command's page. */
export function renderPage(spec: CommandSpec, options: Options): string {
  const rows = spec.options.map((name) => {
    const { flag, value, text, otherwise, kind } = options[name];
    const shown = kind === 'flag' ? flag : `${flag} <${value}>`;
    const needed = spec.required?.includes(name) ? '**needed**' : (otherwise ?? '');
    return `| \`${cell(shown)}\` | ${cell(text, true)} | ${cell(needed, true)} |`;
  });
  const examples = spec.examples.map(({ what, command }) => `# ${what}\n${breakCommand(command, WIDEST)}`).join('\n\n');
  return `<!-- Made from src/cli by npm run docs; change it there. -->

# layerwise ${spec.name}

${spec.summary}.

\`\`\`
layerwise ${[spec.name, ...(spec.argument ? [`<${spec.argument.name}>`] : []), '[options]'].join(' ')}
\`\`\`

${spec.argument ? `\`<${spec.argument.name}>\`: ${spec.argument.text}.\n\n` : ''}${spec.details}

| option | what it does | left out |
|---|---|---|
${rows.join('\n')}
| \`--json\` | print one JSON document on stdout | text for people |
| \`--help\` | the help text | |

\`\`\`
${examples}
\`\`\`

Progress and errors go to stderr. Exit code: 0 done, 1 failed, 2 the call was wrong, 130 interrupted.
`;
}
