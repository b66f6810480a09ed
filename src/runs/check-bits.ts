// Checks the bits of a plan before any weight is read: what quantisers have a grid for, and whether the groups of columns that
// share a scale fit the matrices and the pattern.

import { OptionError } from '../base/index.js';
import { linearUnits, type Model } from '../model/index.js';
import { formatPattern, GRID_BITS, GRID_GROUPS, groupOf, type Operator, type Pattern } from '../operators/index.js';
import { treatmentOf } from '../plan/index.js';
import type { Plan } from '../records/index.js';

/** @throws OptionError E_OPTION_PLAN for bits without a grid, groups that do not fit, and zeros without bits; E_OPTION_PATTERN */
export function checkBits(
  plan: Plan,
  { criterion, pattern }: { readonly criterion: Operator; readonly pattern: Pattern },
  model: Model,
): void {
  let some = false;
  for (const unit of linearUnits(model)) {
    const treatment = treatmentOf(plan, unit);
    if (!treatment) continue;
    if (!treatment.bits) refuse(unit.id, `bits; ${criterion.name} makes zeros only together with bits`, 'none');
    some = true;
    const { bits, group } = treatment.bits;
    if (!(GRID_BITS as readonly number[]).includes(bits)) refuse(unit.id, `${GRID_BITS.join(', ')} bits`, `${bits}`);
    const fits = (GRID_GROUPS as readonly number[]).includes(group) || group >= unit.columns || bits === 8;
    if (!fits) {
      refuse(unit.id, `a group of ${GRID_GROUPS.join(', ')} columns, or of all ${unit.columns}`, `${group}`);
    }
    const own = groupOf(bits, group, unit.columns);
    if (!treatment.zeros || pattern.kind !== 'n:m' || own === unit.columns || own % pattern.of === 0) continue;
    throw new OptionError(
      'E_OPTION_PATTERN',
      `--pattern: with bits, M of ${formatPattern(pattern)} must divide ${own}, the columns of ${unit.id} that share a scale. Use an M of 2, 4, 8, 16 or 32.`,
      { option: 'pattern', linear: unit.id, group: own },
    );
  }
  if (!some) refuse('its units', 'bits for some linear', 'none');
}

function refuse(unit: string, expected: string, got: string): never {
  throw new OptionError('E_OPTION_PLAN', `--plan: ${unit}: expected ${expected}, got ${got}.`, {
    option: 'plan',
    unit,
    expected,
    got,
  });
}
