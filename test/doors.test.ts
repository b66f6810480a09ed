// The package's two doors, name by name: what is added or taken away is seen in a diff, and belongs into the changelog.
// Values are looked up in what was built; types are read from its declarations.

import { readFileSync } from 'node:fs';
import * as library from 'layerwise';
import * as page from 'layerwise/browser';
import { expect, test } from 'vitest';

/** The names that a declaration file exports, which a door does in braces alone. */
function namesOf(door: string): string[] {
  const text = readFileSync(new URL(`../dist/${door}.d.ts`, import.meta.url), 'utf8');
  return [...text.matchAll(/export (type )?\{([^}]*)\}/g)].flatMap(([, types, names]) =>
    names!
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '')
      .map((name) => (types === undefined ? name : `type ${name}`)),
  );
}

test.each([
  ['index', library],
  ['browser', page],
])('what %s exports', (door, values) => {
  const names = namesOf(door).sort();
  expect(names.filter((name) => !name.startsWith('type '))).toEqual(Object.keys(values).sort());
  expect(names).toMatchSnapshot();
});
