// For llm-compressor: a recipe in YAML for oneshot(model=…, recipe=…). Bits become config groups of one GPTQModifier, with
// full names as targets: a class name such as Linear would match in several groups. Zeros become one modifier for each rate
// and structure, before the bits: SparseGPTModifier, or WandaPruningModifier where weights compete within rows, which
// SparseGPT there cannot do. Its structure N:M is N pruned of every M. JSON strings are YAML, so names are written as such.

import type { Treatment } from '../../records/index.js';
import { type Exporter, type ExportLinear, expandPlan, groupBy, refuseExport, refuseOthers } from './target.js';

const TOOL = 'llm-compressor';

type Sparse = { readonly linear: ExportLinear; readonly zeros: NonNullable<Treatment['zeros']> };
type Quantised = { readonly linear: ExportLinear; readonly bits: NonNullable<Treatment['bits']> };

const UNSAID = 'Zeros without a pattern become SparseGPT’s, which compete within blocks of 128 columns.';

export const llmCompressor: Exporter = {
  name: TOOL,
  summary: 'a recipe of GPTQModifier and SparseGPTModifier for oneshot()',
  write: (plan, model) => {
    const sparse: Sparse[] = [];
    const quantised: Quantised[] = [];
    for (const one of expandPlan(plan, model)) {
      refuseOthers(TOOL, one, ['zeros', 'bits']);
      const { linear, treatment: { zeros, bits } = {} } = one;
      if (zeros && zeros.rate > 0) sparse.push({ linear, zeros });
      if (bits && bits.bits < 16) quantised.push({ linear, bits });
    }
    const pruning = [...groupBy(sparse, ({ linear, zeros }) => pruner(linear, zeros))];
    const groups = [...groupBy(quantised, ({ linear, bits }) => weightsOf(linear, bits))];
    const lines = [
      'compress_stage:',
      ...pruning.flatMap(([modifier, members], i) => [
        `  pruning_${i}_modifiers:`,
        ...indent(4, modifier),
        ...targets(8, members),
      ]),
      ...(groups.length > 0 ? ['  quantization_modifiers:', '    GPTQModifier:', '      ignore: ["lm_head"]'] : []),
      ...(groups.length > 0 ? ['      config_groups:'] : []),
      ...groups.flatMap(([weights, members], i) => [
        `        group_${i}:`,
        `          weights: ${weights}`,
        ...targets(10, members),
      ]),
    ];
    if (pruning.length + groups.length === 0) lines[0] = 'compress_stage: {}';
    return {
      text: `${lines.join('\n')}\n`,
      usage: 'oneshot(model=…, dataset=…, recipe="<this file>.yaml")',
      notes: sparse.some(({ zeros }) => zeros.pattern === undefined) ? [UNSAID] : [],
    };
  },
};

const indent = (columns: number, text: string): string[] =>
  text.split('\n').map((line) => `${' '.repeat(columns)}${line}`);

const targets = (columns: number, members: readonly { readonly linear: ExportLinear }[]): string[] => {
  const margin = ' '.repeat(columns);
  return [`${margin}targets:`, ...members.map(({ linear }) => `${margin}  - ${JSON.stringify(linear.id)}`)];
};

/** A pruning modifier up to its targets. */
function pruner(linear: ExportLinear, { rate, pattern = 'columns' }: NonNullable<Treatment['zeros']>): string {
  if (pattern === 'row') return `WandaPruningModifier:\n    sparsity: ${rate}\n    mask_structure: "0:0"`;
  if (pattern === 'columns')
    return `SparseGPTModifier:\n    sparsity: ${rate}\n    mask_structure: "0:0"\n    block_size: 128`;
  const [, kept, width] = /^(n|\d+):(\d+)$/.exec(pattern) ?? [];
  if (width === undefined) {
    const next = 'It has rows, blocks of 128 columns, and N:M. Use --pattern row, columns or N:M.';
    return refuseExport(TOOL, linear, `zeros of the pattern ${JSON.stringify(pattern)}, which ${TOOL} has not`, next);
  }
  const of = Number(width);
  const pruned = Math.round(rate * of);
  // A mixed pattern gives whole N only after a plan was rounded; a fixed one has only its own.
  const whole = Math.abs(rate * of - pruned) < 1e-6 && (kept === 'n' || pruned === of - Number(kept));
  if (!whole) {
    const next = `Use a rate in whole ${of}-ths that the pattern allows.`;
    return refuseExport(
      TOOL,
      linear,
      `zeros of ${rate} under ${pattern}, which is not a whole number of weights`,
      next,
    );
  }
  if (linear.columns % of !== 0) {
    const what = `${linear.columns} columns, which ${of} does not divide`;
    return refuseExport(TOOL, linear, what, `${TOOL} prunes N:M only in whole groups.`);
  }
  return `SparseGPTModifier:\n    sparsity: ${rate}\n    mask_structure: "${pruned}:${of}"`;
}

function weightsOf(linear: ExportLinear, { bits, group }: NonNullable<Treatment['bits']>): string {
  if (bits < 2 || bits > 8) {
    return refuseExport(
      TOOL,
      linear,
      `${bits} bits`,
      `${TOOL} packs integers of 2 to 8 bits. Use one of those, or 16.`,
    );
  }
  const shared = `num_bits: ${bits}, type: int, symmetric: true`;
  if (group >= linear.columns) return `{ ${shared}, strategy: channel }`;
  if (linear.columns % group === 0) return `{ ${shared}, strategy: group, group_size: ${group} }`;
  const what = `groups of ${group} of ${linear.columns} columns`;
  return refuseExport(TOOL, linear, what, `${TOOL} needs groups that divide the columns, or one for the whole row.`);
}
