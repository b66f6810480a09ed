// Every relative link in README, FEATURES, CONTRIBUTING and docs leads to a file of the project, and to a heading of it where
// the link names one. Headings become anchors as GitHub makes them.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

const pages = [
  'README.md',
  'FEATURES.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name.replaceAll('\\', '/')}`)
    .sort(),
];

/** The page without its code, where a bracket is no link and a `#` no heading. */
const proseOf = (text: string): string => text.replaceAll(/^```[\s\S]*?^```$/gm, '');

/** The anchors of a page: lower case, without punctuation, spaces as hyphens; a name that comes again is numbered. */
function anchorsOf(text: string): ReadonlySet<string> {
  const seen = new Map<string, number>();
  const anchors = [...proseOf(text).matchAll(/^#{1,6} +(.+?) *$/gm)].map(([, heading]) => {
    const plain = heading!.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = plain.replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, '').replaceAll(' ', '-');
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  });
  return new Set(anchors);
}

/** What is wrong with a link of a page; undefined where it leads somewhere. */
function faultOf(page: string, link: string): string | undefined {
  const [path, anchor] = link.split('#') as [string, string?];
  const target = path === '' ? page : normalize(join(dirname(page), path)).replaceAll('\\', '/');
  if (target.startsWith('..')) return `${page} → ${link}: outside the project`;
  if (!existsSync(join(root, target))) return `${page} → ${link}: no such file`;
  if (anchor !== undefined && !anchorsOf(read(target)).has(anchor)) return `${page} → ${link}: no such heading`;
  return undefined;
}

test.each(pages)('the links of %s lead somewhere', (page) => {
  const links = [...proseOf(read(page)).matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)].map(([, link]) => link!);
  expect(links.map((link) => faultOf(page, link)).filter((fault) => fault !== undefined)).toEqual([]);
});

test('a link that leads nowhere is found', () => {
  expect(faultOf('README.md', 'docs/architecture.md#rooms')).toBeUndefined();
  expect(faultOf('README.md', 'docs/architecture.md#cellars')).toContain('no such heading');
  expect(faultOf('README.md', 'docs/none.md')).toContain('no such file');
  expect(faultOf('README.md', '../elsewhere.md')).toContain('outside the project');
});

test('headings become anchors as on GitHub', () => {
  const page =
    '# The packed model, `.lw`, version 1\n\n```\n# no heading\n```\n\n## Size\n\n## Size\n\n### [A link](x.md)\n';
  expect([...anchorsOf(page)]).toEqual(['the-packed-model-lw-version-1', 'size', 'size-1', 'a-link']);
});

test('every page of docs can be reached from its index', () => {
  const reached = new Set<string>();
  const walk = (page: string): void => {
    if (reached.has(page)) return;
    reached.add(page);
    for (const [, link] of proseOf(read(page)).matchAll(/\]\((?!https?:|mailto:)([^)#\s]+)[^)]*\)/g)) {
      const target = normalize(join(dirname(page), link!)).replaceAll('\\', '/');
      if (target.endsWith('.md') && existsSync(join(root, target))) walk(target);
    }
  };
  walk('docs/index.md');
  expect(pages.filter((page) => page.startsWith('docs/') && !reached.has(page))).toEqual([]);
});
