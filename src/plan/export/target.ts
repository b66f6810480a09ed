// What an exporter gets and makes. A plan names blocks or linears; an exporter sees each linear with its own treatment. What
// the other tool cannot do is refused by the linear's name, never left out: its result would be another model.

import { OptionError, UnsupportedError } from '../../base/index.js';
import { blockId, type Plan, type Treatment } from '../../records/index.js';
import { type LinearUnit, treatmentOf } from '../unit.js';

/** A linear as other tools need to know it. */
export type ExportLinear = LinearUnit & {
  /** The dtype of its weights in the checkpoint, such as BF16. */
  readonly dtype: string;
  readonly expert: number | undefined;
};

export type ExportModel = {
  /** `model_type` of config.json. */
  readonly family: string;
  readonly blocks: number;
  readonly linears: readonly ExportLinear[];
};

export type PlanExport = {
  /** The file. */
  readonly text: string;
  /** How the tool takes it. */
  readonly usage: string;
  /** What the tool does in its own way. */
  readonly notes: readonly string[];
};

export type Exporter = {
  readonly name: string;
  readonly summary: string;
  write(plan: Plan, model: ExportModel): PlanExport;
};

export type Treated = { readonly linear: ExportLinear; readonly treatment: Treatment | undefined };

/** Every linear with its treatment. @throws OptionError E_OPTION_PLAN for names that the model lacks */
export function expandPlan(plan: Plan, { blocks, linears }: ExportModel): readonly Treated[] {
  const known = new Set([...linears.map(({ id }) => id), ...Array.from({ length: blocks }, (_, i) => blockId(i))]);
  const unknown = Object.keys(plan.units).find((id) => !known.has(id));
  if (unknown !== undefined) {
    throw new OptionError(
      'E_OPTION_PLAN',
      `--plan: ${JSON.stringify(unknown)} is not a prunable linear of this checkpoint, nor one of its blocks (blocks.0 to blocks.${blocks - 1}).`,
      { option: 'plan', got: unknown },
    );
  }
  return linears.map((linear) => ({ linear, treatment: treatmentOf(plan, linear) }));
}

/** @throws UnsupportedError E_UNSUPPORTED_EXPORT */
export function refuseExport(tool: string, { id }: Pick<LinearUnit, 'id'>, what: string, next: string): never {
  throw new UnsupportedError('E_UNSUPPORTED_EXPORT', `--export ${tool}: ${id} has ${what}. ${next}`, {
    tool,
    linear: id,
  });
}

/** Refuses treatments other than the `able` ones; zeros at a rate of 0 are none. */
export function refuseOthers(tool: string, { linear, treatment = {} }: Treated, able: readonly string[]): void {
  const { zeros, ...others } = treatment;
  const parts = [...(zeros && zeros.rate > 0 ? ['zeros'] : []), ...Object.keys(others)];
  const other = parts.find((part) => !able.includes(part));
  if (other === undefined) return;
  const next =
    other === 'zeros'
      ? 'Prune the checkpoint first (layerwise prune), then export a plan of bits alone.'
      : 'Apply it with Layerwise first, then export the rest.';
  const rate = other === 'zeros' ? ` of ${zeros!.rate}` : '';
  refuseExport(tool, linear, `${other}${rate}, which ${tool} cannot make`, next);
}

/** Groups by a key, in the order of first appearance. */
export function groupBy<T>(things: readonly T[], keyOf: (thing: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const thing of things) {
    const key = keyOf(thing);
    const group = groups.get(key);
    if (group) group.push(thing);
    else groups.set(key, [thing]);
  }
  return groups;
}
