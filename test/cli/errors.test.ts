// What errors, notes and help texts of the program call an option is an option of some command, with that very name. Words
// are taken from the string literals of the source, and option names from the calls of the functions that complete them.

import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { COMMANDS, OPTIONS } from '../../src/cli/index.js';

const root = fileURLToPath(new URL('../../src', import.meta.url));
const FLAGS = new Set([
  ...COMMANDS.flatMap(({ options }) => options.map((name) => OPTIONS[name].flag as string)),
  '--json',
  '--help',
  '--version',
  '--tensor-type-file', // of llama-quantize, for which a plan is written
]);

/** Style sheets and pages have custom properties, which look alike. */
const STYLES = /^(page\/|server\/page)/;

/** Functions that make `--name` of an argument, with the places of such arguments. */
const NAMING: Readonly<Record<string, readonly number[]>> = {
  oneOf: [0],
  wholeNumber: [0],
  realNumber: [0],
  conflict: [0, 1],
  refuseMissing: [0],
  refuseValue: [0],
  refuseOption: [0],
  expectSame: [0],
};
/** Files that may complete a template `--${…}`: each checks the name, or is given it by a call that this test sees. */
const COMPLETING = [
  'api/drop-settings.ts',
  'api/serve.ts',
  'api/unlearn-texts.ts',
  'base/files.ts',
  'cli/commands/prune.ts',
  'cli/option-values.ts',
  'compress/settings.ts',
  'runs/checks.ts',
  'runs/command-line.ts',
  'runs/image-options.ts',
  'runs/saved-profile.ts',
  'runs/task-options.ts',
  'runs/workspace.ts',
  'server/serve.ts',
];

const sources = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.as.ts') && !STYLES.test(path))
  .map((path) => {
    const file = relative('.', path).replaceAll('\\', '/');
    return [file, ts.createSourceFile(file, readFileSync(join(root, path), 'utf8'), ts.ScriptTarget.Latest)] as const;
  });

function visit(node: ts.Node, see: (node: ts.Node) => void): void {
  see(node);
  ts.forEachChild(node, (child) => visit(child, see));
}

test('every --word in a text is an option', () => {
  const wrong: string[] = [];
  for (const [file, source] of sources) {
    visit(source, (node) => {
      const isText = ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node);
      if (!isText) return;
      for (const [word] of node.text.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)) {
        if (!FLAGS.has(word)) wrong.push(`${file}: ${word}`);
      }
    });
  }
  expect(wrong).toEqual([]);
  expect(FLAGS.has('--hyperparameters')).toBe(true);
});

test('every name that is completed to --name is an option', () => {
  const wrong: string[] = [];
  let seen = 0;
  for (const [file, source] of sources) {
    visit(source, (node) => {
      if (!ts.isCallExpression(node) || !ts.isIdentifier(node.expression)) return;
      for (const place of NAMING[node.expression.text] ?? []) {
        const argument = node.arguments[place];
        if (!argument || !ts.isStringLiteralLike(argument)) continue;
        seen++;
        if (!FLAGS.has(`--${argument.text}`)) wrong.push(`${file}: ${node.expression.text}(${argument.text})`);
      }
    });
  }
  expect(wrong).toEqual([]);
  expect(seen).toBeGreaterThan(20);
});

test('no other file makes an option of a name', () => {
  const found = new Set<string>();
  for (const [file, source] of sources) {
    visit(source, (node) => {
      if ((ts.isTemplateHead(node) || ts.isTemplateMiddle(node)) && /(?<![\w-])--$/.test(node.text)) found.add(file);
    });
  }
  expect([...found].sort()).toEqual(COMPLETING);
});
