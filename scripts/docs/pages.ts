// A command's page under docs/commands, from the declaration that its parser and its help text come from too.

import type { CommandSpec, OptionName, OptionSpec } from '#src/cli';

type Options = Readonly<Record<OptionName, OptionSpec>>;

/** The Markdown of one command's page. */
export function renderPage(spec: CommandSpec, options: Options): string {
  const rows = spec.options.map((name) => {
    const { flag, value, text, otherwise, kind } = options[name];
    const shown = kind === 'flag' ? flag : `${flag} <${value}>`;
    const needed = spec.required?.includes(name) ? '**needed**' : (otherwise ?? '');
    return `| \`${shown.replaceAll('|', '\\|')}\` | ${text.replaceAll('|', '\\|')} | ${needed} |`;
  });
  const examples = spec.examples.map(({ what, command }) => `# ${what}\n${command}`).join('\n\n');
  return `<!-- Made from src/cli by npm run docs; change it there. -->

# layerwise ${spec.name}

${spec.summary}.

\`\`\`
layerwise ${spec.name} <${spec.argument.name}> [options]
\`\`\`

\`<${spec.argument.name}>\`: ${spec.argument.text}.

${spec.details}

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
