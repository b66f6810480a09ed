import { makePlan } from '../../api/index.js';
import { readProfile } from '../../runs/index.js';
import { formatPercent } from '../../words/index.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { formatBar, formatTable } from '../format.js';
import { parseNumbers, parseShares } from '../options.js';

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
    'profile',
    'calibration',
    'validation',
    'calibrationSamples',
    'calibrationOrder',
    'sequenceLength',
    'maxTrials',
    'seed',
    'device',
    'threads',
    'out',
  ],
  required: ['sparsity'],
  details:
    'With --beta (or a policy whose numbers all have a value) only headers are read; with --calibration and --validation the other numbers are searched as in `layerwise prune`. What a policy needs is measured, or read from a profile that `layerwise profile` wrote: many plans from one pass. The plan is a JSON document that `layerwise prune --plan` replays with any criterion; write one by hand as `{ "blocks": [0.6, 0.7, …] }` or `{ "linears": { "model.layers.0.self_attn.q_proj": 0.62, … } }`.',
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
    { what: 'A plan as JSON on stdout', command: 'layerwise plan ./my-model --sparsity 0.7 --beta 0.01 --json' },
  ],
  run: async (checkpoint, { out, hyperparameters, targetShares, profile, ...options }, onProgress) => {
    const given = {
      ...(hyperparameters === undefined ? {} : { hyperparameters: parseNumbers(hyperparameters) }),
      ...parseShares(targetShares),
      ...(profile === undefined ? {} : { profile: await readProfile(profile) }),
    };
    const plan = await makePlan({ checkpoint, ...options, ...given, onProgress }, out);
    const rows = Object.entries(plan.units).map(([id, { zeros }]) => {
      const rate = zeros?.rate ?? 0;
      return [id.replace(/^blocks\./, 'block '), formatPercent(rate), formatBar(rate)];
    });
    const written = out === undefined ? '' : `\n\nWritten to ${out}`;
    return { json: plan, text: formatTable(rows) + written };
  },
});
