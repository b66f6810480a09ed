// Documents that are made from code, or shown to run, are up to date.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { renderApi } from '../scripts/docs/api.js';
import { readCodes } from '../scripts/docs/codes.js';
import { renderErrors } from '../scripts/docs/errors.js';
import { renderFeatures } from '../scripts/docs/features.js';
import { renderPage, renderTopics } from '../scripts/docs/pages.js';
import { COMMANDS, OPTIONS, TOPICS } from '../src/cli/index.js';
import { MATRIX } from './matrix.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

describe('docs/reference/commands', () => {
  test.each(COMMANDS.map((spec) => [spec.name, spec] as const))(
    'the page of %s is what npm run docs writes',
    (name, spec) => {
      expect(read(`docs/reference/commands/${name}.md`)).toBe(renderPage(spec, OPTIONS));
    },
  );

  test('so is the page of the lists of names', () => {
    expect(read('docs/reference/commands/help.md')).toBe(renderTopics(TOPICS, COMMANDS));
  });

  test('there are no pages of commands that are gone', () => {
    const names = [...COMMANDS.map(({ name }) => name), 'help'];
    expect(readdirSync(join(root, 'docs/reference/commands')).sort()).toEqual(names.map((name) => `${name}.md`).sort());
  });

  test('no cell of a table is too wide to be read beside others', () => {
    const wide = readdirSync(join(root, 'docs/reference/commands')).flatMap((page) =>
      [...read(`docs/reference/commands/${page}`).matchAll(/^\|.*$/gm)]
        .flatMap(([line]) => line.split(/(?<!\\)\|/))
        .filter((one) => one.length > 240),
    );
    expect(wide).toEqual([]);
  });
});

test('FEATURES.md is what npm run docs writes', () => {
  expect(read('FEATURES.md')).toBe(renderFeatures(MATRIX));
});

describe('error codes', () => {
  const codes = readCodes(join(root, 'src'));

  test('the page is what npm run docs writes', () => {
    expect(read('docs/reference/errors.md')).toBe(renderErrors(codes));
  });

  test('what a message fills in is named', () => {
    expect(codes.get('E_OPTION_POSITIONS')).toEqual([
      'positions: expected at most ‹max positions›, the limit of the model, got ‹positions›.',
    ]);
  });

  test('a constant, a choice of two texts and a helper are looked through', () => {
    expect(codes.get('E_UNSUPPORTED_PAGE')?.[0]).toMatch(/^Expected a page that may compute checksums/);
    expect(codes.get('E_TEXT_GZIP')).toEqual(['expected a gzip file; ‹message›. Fetch it again']);
    expect(codes.get('E_OPTION_PLAN')).not.toContain('a plan');
  });

  test('a code of no kind is refused', () => {
    expect(() => renderErrors(new Map([['E_WHIM_MOON', []]]))).toThrowError('E_WHIM_MOON');
  });
});

test('docs/reference/api.md is what npm run docs writes', () => {
  expect(read('docs/reference/api.md')).toBe(renderApi(join(root, 'dist')));
});

test('every option is some command’s', () => {
  const used = new Set(COMMANDS.flatMap(({ options }) => options));
  expect(Object.keys(OPTIONS).filter((name) => !(used as ReadonlySet<string>).has(name))).toEqual([]);
});

describe('README', () => {
  const readme = read('README.md');

  test.each([
    ['README.md', readme],
    ['docs/guide/browser.md', read('docs/guide/browser.md')],
  ])('%s shows the example as it is run', (_, page) => {
    const shown = [...page.matchAll(/<!-- example: (\S+) -->\n```[a-z]+\n([\s\S]*?)```/g)];
    expect(shown.length).toBeGreaterThan(0);
    for (const [, path, code] of shown) expect(code, path).toBe(read(path!));
  });

  test('has exactly the two set-up commands', () => {
    expect(readme.match(/^npm ci && .*$/gm)).toEqual(['npm ci && npm run demo', 'npm ci && npm test']);
  });
});
