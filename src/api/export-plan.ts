// Writes a plan in the form that another tool takes. Only headers are read.

import { requireAbsent, silent, writeFileAtomic } from '../base/index.js';
import { type Model, unitOf, weightName } from '../model/index.js';
import { type ExportModel, findExporter, type PlanExport } from '../plan/index.js';
import { type Plan, validatePlan } from '../records/index.js';
import { openSource, type RunOptions } from '../runs/index.js';

export type ExportPlanOptions = Pick<RunOptions, 'onProgress'> & {
  /** Directory of a Hugging Face checkpoint, or its name on the Hub. */
  readonly checkpoint: string;
  /** The plan. */
  readonly plan: Plan;
  /** `llama.cpp`, `llm-compressor` or `auto-round`. */
  readonly to: string;
  /** File to write; must not exist. Defaults to none. */
  readonly out?: string;
};

/**
 * A plan as another tool takes it; also written to `out` if given.
 * @throws OptionError E_OPTION_EXPORT, E_OPTION_PLAN; UnsupportedError E_UNSUPPORTED_EXPORT names a linear whose treatment
 * the tool cannot make
 */
export async function exportPlan({ checkpoint, plan, to, out, onProgress }: ExportPlanOptions): Promise<PlanExport> {
  const exporter = findExporter(to);
  const checked = validatePlan(plan, '--plan');
  if (out !== undefined) await requireAbsent(out);
  const model = await openSource(checkpoint, onProgress ?? silent);
  const made = exporter.write(checked, describeModel(model));
  if (out !== undefined) await writeFileAtomic(out, made.text);
  return made;
}

const describeModel = ({ config, checkpoint, linears }: Model): ExportModel => ({
  family: config.family,
  blocks: config.blocks,
  linears: linears.flat().map((linear) => ({
    ...unitOf(linear),
    dtype: checkpoint.tensors.get(weightName(linear))!.dtype,
    expert: linear.expert,
  })),
});
