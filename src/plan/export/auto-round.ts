// For AutoRound: a layer_config in JSON, from a linear's full name to its bits and group, for the Python class or, as one
// argument, for --layer_config. A linear that stays as it is has 16 bits there. AutoRound does not prune.

import { type Exporter, type ExportLinear, expandPlan, refuseExport, refuseOthers } from './target.js';

const TOOL = 'auto-round';
/** What its formats can pack. */
const BITS: readonly number[] = [2, 3, 4, 8];

export const autoRound: Exporter = {
  name: TOOL,
  summary: 'a layer_config of bits and groups in JSON',
  write: (plan, model) => {
    const layers = expandPlan(plan, model).map((one) => {
      refuseOthers(TOOL, one, ['bits']);
      const { linear, treatment } = one;
      return [linear.id, layer(linear, treatment?.bits)] as const;
    });
    return {
      text: `${JSON.stringify(Object.fromEntries(layers), null, 2)}\n`,
      usage: 'AutoRound(model, scheme="W4A16", layer_config=json.load(open("<this file>")))',
      notes: [],
    };
  },
};

function layer(linear: ExportLinear, treatment: { readonly bits: number; readonly group: number } | undefined) {
  if (treatment === undefined || treatment.bits === 16) return { bits: 16 };
  const { bits, group } = treatment;
  if (!BITS.includes(bits)) {
    return refuseExport(
      TOOL,
      linear,
      `${bits} bits`,
      `${TOOL} packs ${BITS.join(', ')} bits. Use one of those, or 16.`,
    );
  }
  // −1: one group for the whole row.
  return { bits, group_size: group >= linear.columns ? -1 : group, sym: true, data_type: 'int' };
}
