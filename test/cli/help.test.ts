// Help texts are read in a terminal: never wider than 100 columns, whatever its width, and every command of an example can
// still be pasted into a shell.

import { execFileSync } from 'node:child_process';
import { CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import { breakCommand, COMMANDS, createParser, OPTIONS, TOPICS, WIDEST } from '../../src/cli/index.js';
import { CRITERIA, PATTERNS } from '../../src/operators/index.js';
import { POLICIES } from '../../src/plan/index.js';

/** What words print on a terminal of so many columns. */
async function printed(words: readonly string[], columns: number | undefined): Promise<string> {
  let text = '';
  const write = (more: string): void => {
    text += more;
  };
  await createParser(async () => {}, { columns, write })
    .parseAsync(words, { from: 'user' })
    .catch((error: unknown) => {
      if (!(error instanceof CommanderError) || error.exitCode !== 0) throw error;
    });
  return text;
}

const CALLS: readonly (readonly string[])[] = [
  ['--help'],
  ['help'],
  ['help', '--help'],
  ...COMMANDS.map(({ name }) => [name, '--help']),
  ...COMMANDS.map(({ name }) => ['help', name]),
  ...TOPICS.map(({ name }) => ['help', name]),
];

describe.each(CALLS.map((words) => [words.join(' '), words] as const))('%s', (_, words) => {
  test.each([undefined, 20, 80, 93, 100, 300])('on %s columns has no line that is too wide', async (columns) => {
    const text = await printed(words, columns);
    expect(text.split('\n').length).toBeGreaterThan(5);
    const width = Math.min(WIDEST, Math.max(80, columns ?? WIDEST));
    expect(text.split('\n').filter((line) => [...line].length > width)).toEqual([]);
  });
});

test('help of a command is that of its --help', async () => {
  for (const { name } of COMMANDS) expect(await printed(['help', name], 90)).toBe(await printed([name, '--help'], 90));
});

// Texts that commands share name whose option they mean; any other is a command's own.
const ELSEWHERE: readonly string[] = [
  ...['compress', 'prune', 'compare', 'frontier', 'cut', 'plan'].map((name) => `${name} --validation: --method`),
  ...['compress --sensitivities: --treatments', 'profile --treatments: --allow', 'evaluate --images: --calibration'],
  ...['frontier --target-shares: --target', 'plan --export: --tensor-type-file'],
];

test('an option names none that its command lacks, unless it says whose', () => {
  const wrong = COMMANDS.flatMap(({ name, options }) => {
    const flags = new Set(options.map((option) => OPTIONS[option].flag));
    return options.flatMap((option) => {
      const { flag, text } = OPTIONS[option];
      const named = [...text.matchAll(/--[a-z][a-z-]*/g)].map(([other]) => other);
      return named.filter((other) => !flags.has(other as never)).map((other) => `${name} ${flag}: ${other}`);
    });
  });
  expect(wrong.sort()).toEqual([...ELSEWHERE].sort());
});

test('the lists have every policy, criterion and pattern with its line', async () => {
  const lists = { policies: [...POLICIES.values()], criteria: [...CRITERIA.values()], patterns: PATTERNS };
  for (const [topic, things] of Object.entries(lists)) {
    const text = (await printed(['help', topic], 100)).replace(/\s+/g, ' ');
    for (const { name, summary } of things) expect(text, topic).toContain(` ${name} ${summary}`);
  }
  const numbers = (await printed(['help', 'hyperparameters'], 100)).replace(/\s+/g, ' ');
  for (const policy of POLICIES.values()) {
    for (const { name, text } of policy.hyperparameters) expect(numbers).toContain(` ${policy.name} ${name} ${text}`);
  }
  await expect(printed(['help', 'polices'], 100)).rejects.toMatchObject({ code: 'E_OPTION_TOPIC' });
});

test('every list that an option’s text refers to is there', () => {
  const texts = Object.values(OPTIONS).flatMap((option) => [
    option.text,
    'otherwise' in option ? option.otherwise : '',
  ]);
  const named = texts.flatMap((text) => [...text.matchAll(/layerwise help (\w+)/g)].map(([, name]) => name!));
  expect(new Set(named)).toEqual(new Set(TOPICS.map(({ name }) => name)));
});

test('an example broken into lines is the same words to a shell', () => {
  for (const { examples } of COMMANDS) {
    for (const { command } of examples) {
      const wordsOf = (line: string): string =>
        execFileSync(
          'sh',
          ['-c', `layerwise() { printf '%s\\0' "$@"; }; jq() { cat; printf '%s\\0' "$@"; }; ${line}`],
          {
            encoding: 'utf8',
          },
        );
      if (!/^layerwise [^;&<>]*$/.test(command)) continue;
      expect(wordsOf(breakCommand(command, 60)), command).toBe(wordsOf(command));
    }
  }
});
