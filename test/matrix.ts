// What is exercised of families, criteria and patterns: the tests walk over this list, and FEATURES.md is made from it.

import { makeMatrix } from '../scripts/docs/matrix.js';
import { FAMILIES } from '../src/model/index.js';
import { CRITERIA } from '../src/operators/index.js';

/** Every criterion in every pattern it has, on every family. */
export const MATRIX = makeMatrix(FAMILIES, CRITERIA);
