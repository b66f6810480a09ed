// What is exercised of families, criteria and patterns: the tests walk over this list, and FEATURES.md is made from it.

import { FAMILIES } from '../src/model/index.js';
import { CRITERIA, type Criterion, type Pattern, type PatternKind } from '../src/operate/index.js';

/** The pattern that stands for its kind. */
const PATTERNS: Readonly<Record<PatternKind, Pattern>> = {
  row: { kind: 'row' },
  matrix: { kind: 'matrix' },
  columns: { kind: 'columns' },
  'n:m': { kind: 'n:m', kept: 2, of: 4 },
};

export type Cell = { readonly family: string; readonly criterion: Criterion; readonly pattern: Pattern };

/** Every criterion in every pattern it has, on every family. */
export const MATRIX: readonly Cell[] = [...FAMILIES.keys()].flatMap((family) =>
  [...CRITERIA.values()].flatMap((criterion) =>
    criterion.patterns.map((kind) => ({ family, criterion, pattern: PATTERNS[kind] })),
  ),
);
