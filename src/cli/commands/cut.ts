import { join } from 'node:path';
import { cut } from '../../api/index.js';
import type { CutRecord } from '../../records/index.js';
import { describeGains, describeValues, formatCount, formatPercent, warnOfGains } from '../../words/index.js';
import { accuracyJson, accuracyTable } from '../accuracy.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { fidelityJson, fidelityTable } from '../fidelity.js';
import { formatSeconds } from '../format.js';
import { parseNumbers, parseShares } from '../option-values.js';
import { IMAGE_SET_OPTIONS, RUN_OPTIONS, WINDOW_OPTIONS } from '../options.js';
import { lossTable } from '../perplexity.js';

export const cutCommand = defineCommand({
  name: 'cut',
  summary: 'Cut heads and channels out of a checkpoint, so that it is smaller in every engine',
  argument: CHECKPOINT,
  options: [
    'parameters',
    'units',
    'widths',
    'spare',
    'multiple',
    'importance',
    'cutAllocation',
    'beta',
    'hyperparameters',
    'cutRepair',
    'cutTarget',
    'targetShares',
    'calibration',
    ...IMAGE_SET_OPTIONS,
    'validation',
    'test',
    ...WINDOW_OPTIONS,
    'maxTrials',
    'judge',
    'greedyTokens',
    ...RUN_OPTIONS,
  ],
  required: ['parameters', 'out'],
  details:
    'Writes a plain Hugging Face checkpoint with narrower blocks, `layerwise.json` (the record of the run) and `report.html`. In `config.json` only the widths change; every other file is copied byte for byte. `--parameters 0.8` leaves 80 % of all parameters of the checkpoint, counted from the files written: embeddings and norms are among the 100 % and are not cut, so the blocks lose more than a fifth. The number is met to half of one step: `--multiple` channels of one MLP, or of all with equal widths. Heads are cut as key-value heads with all query heads that read them, and never in part.',
  examples: [
    {
      what: 'A fifth of the parameters out of the MLPs, the same width everywhere: loads in every program',
      command:
        'layerwise cut ./my-model --parameters 0.8 --calibration calibration.txt --validation validation.txt --test test.txt --out my-model-80',
    },
    {
      what: 'Each block its own width, the line over depth searched on validation text',
      command:
        'layerwise cut ./my-model --parameters 0.8 --widths free --allocation atp --calibration calibration.txt --validation validation.txt --out my-model-80-free',
    },
    {
      what: 'Heads and channels against each other, by what they cost the residual per parameter',
      command:
        'layerwise cut ./my-model --parameters 0.7 --units all --widths free --allocation uniform --calibration calibration.txt --out my-model-70',
    },
    {
      what: 'Heads and channels of a ViT, each block its own width: needs images, no text',
      command:
        'layerwise cut ./vit --parameters 0.8 --units all --widths free --allocation uniform --images train/ --validation heldout/ --test val/ --out vit-80',
    },
    {
      what: 'As FLAP does it: one threshold for all blocks, no fit',
      command:
        'layerwise cut ./my-model --parameters 0.8 --units all --widths free --importance flap --allocation flap --repair none --calibration calibration.txt --out my-model-flap',
    },
  ],
  run: async (checkpoint, values, onProgress) => {
    const { parameters, out, hyperparameters, targetShares, ...rest } = values;
    const { cutAllocation, cutRepair, cutTarget, ...options } = rest;
    const { record, seconds } = await cut({
      checkpoint,
      ...{ parameters: parameters!, out: out! },
      ...options,
      ...(cutAllocation === undefined ? {} : { allocation: cutAllocation }),
      ...(cutRepair === undefined ? {} : { repair: cutRepair }),
      ...(cutTarget === undefined ? {} : { target: cutTarget }),
      ...(hyperparameters === undefined ? {} : { hyperparameters: parseNumbers(hyperparameters) }),
      ...parseShares(targetShares),
      onProgress,
    });
    const { dense, uniform, cut: scores, widths, gains, fidelity, target, images, loss } = record;
    const share = record.parameters.after / record.parameters.before;
    const json = {
      parameters: { ...record.parameters, share },
      units: record.units,
      equal: record.equal,
      importance: record.importance,
      allocation: record.allocation,
      hyperparameters: record.hyperparameters,
      ...(target ? { target } : {}),
      widths,
      ...(loss === undefined ? {} : { loss }),
      dense,
      uniform,
      cut: scores,
      ...(images ? { images: imagesJson(images) } : {}),
      trials: record.trials.map(({ hyperparameters, target, validation, interval, exact }) => ({
        hyperparameters,
        ...(target ? { target } : {}),
        validation: validation.perplexity,
        interval,
        exact,
      })),
      ...(gains ? { gains } : {}),
      ...fidelityJson(fidelity),
      loads: record.loads,
      seconds,
      out,
    };
    const ofHow = describeValues(record.hyperparameters);
    const label = record.equal ? 'cut' : `cut, ${record.allocation}${ofHow === '' ? '' : `, ${ofHow}`}`;
    const text = [
      ...lossTable([['dense', dense], ...(uniform ? [['uniform', uniform] as const] : []), [label, scores]], loss),
      ...(images ? imageTables(label, images) : []),
      ...fidelityTable([[label, fidelity]]),
      ...(gains ? [describeGains(gains)] : []),
      ...(gains?.parted ? [warnOfGains(gains)] : []),
      ...(target ? [`fitted to the stream, α = ${target.alpha}, γ = ${target.gamma}`] : []),
      `widths      ${describeWidths(widths)}`,
      `${formatPercent(share)} of all parameters are left, ${formatCount(record.parameters.after)} of ${formatCount(record.parameters.before)}, counted from the files written; ${formatSeconds(seconds)}.`,
      `loads in    ${record.loads.join('; ')}`,
      `checkpoint  ${out}`,
      `report      ${join(out!, 'report.html')}`,
    ].join('\n');
    return { json, text };
  },
});

type Images = NonNullable<CutRecord['images']>;
const ROLES = ['validation', 'test'] as const;

const imagesJson = ({ dense, cut }: Images) =>
  Object.fromEntries(ROLES.map((role) => [role, { dense: accuracyJson(dense[role]), cut: accuracyJson(cut[role]) }]));

const imageTables = (label: string, { dense, cut }: Images): string[] =>
  ROLES.flatMap((role) =>
    accuracyTable(role, [
      ['dense', dense[role]],
      [label, cut[role]],
    ]),
  );

type Widths = readonly (readonly number[])[];

/** `heads 6, MLP 1216`, or the width of each block in turn. */
function describeWidths({ before, after }: { readonly before: Widths; readonly after: Widths }): string {
  const parts = (
    [
      ['heads', 0],
      ['key-value heads', 1],
      ['MLP', 2],
    ] as const
  ).flatMap(([name, at]) => {
    const some = after.map((own) => own[at]!);
    if (some.every((value, block) => value === before[block]![at])) return [];
    return [`${name} ${new Set(some).size === 1 ? some[0] : some.join(' ')}`];
  });
  return parts.join('; ');
}
