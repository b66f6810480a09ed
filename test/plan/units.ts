// Linears for tests of plans.

import type { LinearUnit } from '../../src/plan/index.js';

export const unit = (id: string, block: number, role: string, rows: number, columns: number): LinearUnit => ({
  ...{ id, kind: 'linear', trunk: 'language', block, role },
  weights: rows * columns,
  rows,
  columns,
});
