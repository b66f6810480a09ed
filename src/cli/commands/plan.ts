import { exportPlan, makePlan, readPlan } from '../../api/index.js';
import { OptionError } from '../../base/index.js';
import type { Plan } from '../../records/index.js';
import { readProfile } from '../../runs/index.js';
import { formatPercent } from '../../words/index.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { formatBar, formatTable } from '../format.js';
import { parseNumbers, parseShares } from '../option-values.js';
import { WINDOW_OPTIONS } from '../options.js';

export const planCommand = defineCommand({
  name: 'plan',
  summary: 'Rates per block, without pruning anything',
  argument: CHECKPOINT,
  options: [
    'sparsity',
    'allocation',
    'beta',
    'hyperparameters',
    'budget',
    'criterion',
    'pattern',
    'refit',
    'target',
    'targetShares',
    'calibrationPrefix',
    'hessian',
    'gradient',
    'profile',
    'plan',
    'exportTo',
    'calibration',
    'validation',
    ...WINDOW_OPTIONS,
    'maxTrials',
    'judge',
    'seed',
    'device',
    'threads',
    'out',
  ],
  details:
    'With --beta (or a policy whose numbers all have a value) only headers are read; with --calibration and --validation the other numbers are searched as in `layerwise prune`. What a policy needs is measured, or read from a profile that `layerwise profile` wrote: many plans from one pass. The plan is a JSON document that `layerwise prune --plan` replays with any criterion; write one by hand as `{ "blocks": [0.6, 0.7, …] }` or `{ "linears": { "model.layers.0.self_attn.q_proj": 0.62, … } }`. --export writes the plan, or one given by --plan, as the list of tensors that another tool applies; a treatment that the tool cannot make is refused with the name of the linear.',
  examples: [
    {
      what: 'ATP’s line for a β of your own',
      command: 'layerwise plan ./my-model --sparsity 0.7 --allocation atp --beta 0.01 --out plan.json',
    },
    {
      what: 'β searched on validation text',
      command:
        'layerwise plan ./my-model --sparsity 0.7 --calibration calibration.txt --validation validation.txt --out plan.json',
    },
    {
      what: 'OWL, from a saved profile',
      command: 'layerwise plan ./my-model --sparsity 0.7 --allocation owl --profile profile.json --out plan.json',
    },
    {
      what: 'A plan of bits as the types of llama-quantize',
      command: 'layerwise plan ./my-model --plan bits.json --export llama.cpp --out types.txt',
    },
    { what: 'A plan as JSON on stdout', command: 'layerwise plan ./my-model --sparsity 0.7 --beta 0.01 --json' },
  ],
  run: async (
    checkpoint,
    { out, hyperparameters, targetShares, profile, plan: path, exportTo, ...options },
    onProgress,
  ) => {
    const given = {
      ...(hyperparameters === undefined ? {} : { hyperparameters: parseNumbers(hyperparameters) }),
      ...parseShares(targetShares),
      ...(profile === undefined ? {} : { profile: await readProfile(profile) }),
    };
    const make = async (to?: string): Promise<Plan> => {
      const { sparsity } = options;
      if (path === undefined && sparsity !== undefined) {
        return await makePlan({ checkpoint, ...options, sparsity, ...given, onProgress }, to);
      }
      return await givenPlan(path, exportTo, { ...options, ...given });
    };
    const written = out === undefined ? '' : `\n\nWritten to ${out}`;
    if (exportTo !== undefined) {
      const made = await exportPlan({
        ...{ checkpoint, plan: await make(), to: exportTo, onProgress },
        ...(out === undefined ? {} : { out }),
      });
      for (const text of made.notes) onProgress({ kind: 'note', text });
      const told = out === undefined ? made.text.trimEnd() : `Written to ${out}. Apply it with: ${made.usage}`;
      return { json: { to: exportTo, ...made }, text: told };
    }
    const plan = await make(out);
    const rows = Object.entries(plan.units).map(([id, { zeros }]) => {
      const rate = zeros?.rate ?? 0;
      return [id.replace(/^blocks\./, 'block '), formatPercent(rate), formatBar(rate)];
    });
    return { json: plan, text: formatTable(rows) + written };
  },
});

/** The plan in a file, to export. @throws OptionError if there is none to make either, or if options for making one are given */
async function givenPlan(
  path: string | undefined,
  exportTo: string | undefined,
  others: Readonly<Record<string, unknown>>,
): Promise<Plan> {
  if (path === undefined) {
    const message = 'Expected --sparsity (such as 0.7), or --plan and --export; neither was given.';
    throw new OptionError('E_OPTION_SPARSITY', message, { option: 'sparsity' });
  }
  if (exportTo === undefined) {
    const message = '--plan: the plan is made already; add --export to write it for another tool.';
    throw new OptionError('E_OPTION_CONFLICT', message, { option: 'plan' });
  }
  const [other] = Object.keys(others);
  if (other === undefined) return await readPlan(path);
  const message = `--plan: ${path} is exported as it is, so no plan is made of ${other}. Leave one of them out.`;
  throw new OptionError('E_OPTION_CONFLICT', message, { option: 'plan', other });
}
