// Which family goes with which criterion, in which pattern. Tests walk over the table (test/matrix.ts), over every pair in it
// always and over all of it on request, and FEATURES.md is made from it, so that what it says is what is tested. It is made
// from registries, which are handed in: tests have theirs from the sources, `npm run docs` from the build.

import type { Pattern, PatternKind } from '#src/operators';

/** The pattern that stands for its kind. */
const PATTERNS: Readonly<Record<PatternKind, Pattern>> = {
  row: { kind: 'row' },
  matrix: { kind: 'matrix' },
  columns: { kind: 'columns' },
  'n:m': { kind: 'n:m', kept: 2, of: 4 },
};

type CriterionLike = { readonly name: string; readonly patterns: readonly PatternKind[] };

export type Cell<C extends CriterionLike = CriterionLike> = {
  readonly family: string;
  readonly criterion: C;
  readonly pattern: Pattern;
};

/** Every criterion in every pattern it has, on every family. */
export const makeMatrix = <C extends CriterionLike>(
  families: ReadonlyMap<string, unknown>,
  criteria: ReadonlyMap<string, C>,
): readonly Cell<C>[] =>
  [...families.keys()].flatMap((family) =>
    [...criteria.values()].flatMap((criterion) =>
      criterion.patterns.map((kind) => ({ family, criterion, pattern: PATTERNS[kind] })),
    ),
  );

/** A cell's value on each axis, for `coverPairs`. */
export const valuesOf = ({ family, criterion, pattern }: Cell): readonly string[] => [
  family,
  criterion.name,
  pattern.kind,
];
