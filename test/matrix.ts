// What is exercised of families, criteria and patterns: the tests walk over this list, and FEATURES.md is made from it.

import { coverPairs } from '../scripts/docs/cover.js';
import { makeMatrix } from '../scripts/docs/matrix.js';
import { CRITERIA } from '../src/operators/index.js';
import { TEXT_FAMILIES } from './families.js';

/** Every criterion in every pattern it has, on every family. */
export const MATRIX = makeMatrix(TEXT_FAMILIES, CRITERIA);

const VARIABLE = 'LAYERWISE_TEST_MATRIX';
const asked = process.env[VARIABLE];
if (asked !== undefined && !['', 'pairs', 'full'].includes(asked)) {
  throw new Error(`${VARIABLE} is ${JSON.stringify(asked)}; expected full, or pairs, which is the default`);
}

/** Whether all cells are asked for. */
export const IS_FULL = asked === 'full';

/** The cells to walk: as few as hold every pair of values, or all where LAYERWISE_TEST_MATRIX=full asks for them. */
export const cellsToTest = <T>(cells: readonly T[], valuesOf: (cell: T) => readonly string[]): readonly T[] =>
  IS_FULL ? cells : coverPairs(cells, valuesOf);
