import { profile } from '../../api/index.js';
import type { Profile } from '../../records/index.js';
import { describeStart, formatPercent } from '../../words/index.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { formatSeconds, formatTable } from '../format.js';
import { parseMeasures } from '../option-values.js';
import { WINDOW_OPTIONS } from '../options.js';

export const profileCommand = defineCommand({
  name: 'profile',
  summary: 'Measure a checkpoint layer by layer, for allocation policies and for the removal of blocks',
  argument: CHECKPOINT,
  options: [
    'calibration',
    'measures',
    'gradient',
    'treatments',
    'errors',
    ...WINDOW_OPTIONS,
    'seed',
    'device',
    'threads',
    'out',
  ],
  required: ['calibration'],
  details:
    'One pass of the dense model over the calibration text takes all measures together; gradient needs extra passes, and halfError a Gram matrix of each input: they are no defaults. Two measures are always taken, both on the residual before the final norm: the influence of each block (ShortGPT: 1 − the mean cosine of its input and output) and, for each run of n blocks, the angular distance of the last token across it (0: the same direction, 0.5: a right angle). `layerwise drop` uses them for the methods shortgpt and angular. The table shows these for each block, and the measures that have one number per block: outliers, the share of scores |W|·‖X‖ above five times their mean; the median of the scores and the variance of their logarithms; alpha, the mean over linears of the spectrum’s exponent; gradient, the sum over linears. The file has everything, and `layerwise plan --profile` allocates from it. alpha takes O(n³) for each linear, which is hours for a 7B model: name the other measures to leave it out (docs/reference/policies.md has the cost of each). With --errors the model is pruned twice, and the table shows how far each block’s output is from the dense one, ‖X − X̃‖ / ‖X‖, on windows that pruned nothing: alone (it reads what dense blocks made), carried (what pruned blocks made) and corrected (the linears follow the dense stream, half and half). With --treatments the table of sensitivities for `layerwise compress` is measured too: the KL to the dense model with each linear alone under each treatment, which any budget is then chosen from; it is written beside the profile, as `profile.sensitivities.json`.',
  examples: [
    {
      what: 'All that one pass collects',
      command: 'layerwise profile ./my-model --calibration calibration.txt --out profile.json',
    },
    {
      what: 'Only what OWL and DLP need, for layerwise plan --profile',
      command:
        'layerwise profile ./my-model --calibration calibration.txt --measures outliers,scoreMoments --out profile.json',
    },
    {
      what: 'The table that layerwise compress --sensitivities chooses from, for any budget',
      command:
        'layerwise profile ./my-model --calibration calibration.txt --measures none --treatments bits,drop --out profile.json',
    },
    {
      what: 'How errors travel at 70 % sparsity',
      command: 'layerwise profile ./my-model --calibration calibration.txt --measures none --errors 0.7',
    },
    {
      what: 'Influence and angles alone, for another program',
      command:
        "layerwise profile ./my-model --calibration calibration.txt --measures none --json | jq '.influence, .angles[0]'",
    },
  ],
  run: async (checkpoint, { calibration, measures, treatments, ...options }, onProgress) => {
    const asked = {
      ...{ checkpoint, calibration: calibration!, ...parseMeasures(measures), ...options, onProgress },
      ...(treatments === undefined ? {} : { treatments: treatments.split(',').map((name) => name.trim()) }),
    };
    const { profile: found, sensitivities, seconds } = await profile(asked);
    const { windows, length, name, bos } = found.calibration;
    const text = [
      formatTable(blockRows(found)),
      '',
      formatTable(runRows(found)),
      '',
      `${windows} windows of ${length} tokens of ${name}${describeStart(bos)}; ${formatSeconds(seconds)}.`,
      ...(options.out === undefined ? [] : [`profile  ${options.out}`]),
      ...(sensitivities ? [`table    ${sensitivities.path}`] : []),
    ].join('\n');
    return { json: found, text };
  },
});

const digits = (value: number): string => value.toPrecision(4);

/** A line for each block, below a head. */
function blockRows({ influence, angles, errors, linears, measures }: Profile): string[][] {
  const { outliers, scoreMoments, alpha, gradient } = measures;
  const first = linears.map((_, block) => linears.slice(0, block).reduce((sum, names) => sum + names.length, 0));
  const sumOf = (values: readonly number[], block: number): number =>
    values.slice(first[block]!, first[block]! + linears[block]!.length).reduce((a, b) => a + b, 0);
  const columns: [head: string, cell: (block: number) => string][] = [
    ['influence', (block) => digits(influence[block]!)],
    ['angle', (block) => digits(angles[0]![block]!)],
  ];
  if (outliers) columns.push(['outliers', (block) => formatPercent(outliers['5']![block]!)]);
  if (scoreMoments) {
    columns.push(['median score', (block) => digits(scoreMoments[block]!.median)]);
    columns.push(['var ln score', (block) => digits(scoreMoments[block]!.logVariance)]);
  }
  if (alpha) columns.push(['alpha', (block) => digits(sumOf(alpha, block) / linears[block]!.length)]);
  if (errors) {
    for (const name of ['alone', 'carried', 'corrected'] as const) {
      columns.push([`error ${name}`, (block) => digits(errors[name][block]!)]);
    }
  }
  if (gradient) columns.push(['gradient', (block) => digits(sumOf(gradient, block))]);
  const rows = linears.map((_, block) => [`block ${block}`, ...columns.map(([, cell]) => cell(block))]);
  return [['', ...columns.map(([head]) => head)], ...rows];
}

/**
 * For each length of a run, up to half of the blocks: the run with the smallest angular distance, without the last block.
 */
function runRows({ angles }: Profile): string[][] {
  const rows = angles.slice(0, Math.max(1, Math.floor(angles.length / 2))).map((across, i) => {
    const candidates = angles.length > i + 1 ? across.slice(0, -1) : across;
    const from = candidates.indexOf(Math.min(...candidates));
    const until = from + i;
    return [i === 0 ? `block ${from}` : `blocks ${from} to ${until}`, digits(across[from]!)];
  });
  return [['turned least', 'angle'], ...rows];
}
