import { join } from 'node:path';
import { type QuantiseResult, quantise, quantiseActivations, readPlan } from '../../api/index.js';
import type { ResultRow } from '../../records/index.js';
import type { QuantiseOptions } from '../../runs/index.js';
import { formatNumber, formatPercent, formatPerplexity } from '../../words/index.js';
import { ACTIVATIONS_ONLY, activationsJson, activationsOptions, activationsText, refuseGiven } from '../activations.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { fidelityJson, fidelityTable } from '../fidelity.js';
import { formatSeconds, formatTable } from '../format.js';
import { parseNumber, parseQueue, parseShares, parseTasks } from '../option-values.js';
import {
  HAND_OUT_OPTIONS,
  type OptionName,
  RUN_OPTIONS,
  TASK_OPTIONS,
  type Values,
  WINDOW_OPTIONS,
} from '../options.js';
import { QVLM } from '../quantise-options.js';
import { describeCuts, modelTable } from '../tasks.js';

const OPTION_NAMES = [
  'bits',
  'group',
  'bitsAllocation',
  'bitsBeta',
  'maxTrials',
  'quantiser',
  'bitsPlan',
  'zerosPattern',
  'activationBits',
  'activationRange',
  'dependency',
  'threshold',
  'target',
  'targetShares',
  'hessian',
  'calibration',
  'labels',
  'orientation',
  'scope',
  'classes',
  'templates',
  'validation',
  'test',
  ...TASK_OPTIONS,
  ...WINDOW_OPTIONS,
  'greedyTokens',
  ...HAND_OUT_OPTIONS,
  ...RUN_OPTIONS,
] as const satisfies readonly OptionName[];

export const quantiseCommand = defineCommand({
  name: 'quantise',
  summary: 'Put the weights of a checkpoint on few levels, and measure what it costs',
  argument: CHECKPOINT,
  options: OPTION_NAMES,
  required: ['out'],
  details:
    'Writes a plain Hugging Face checkpoint whose weights are scale·q, q a whole number of few bits, in the dtype of its source; `layerwise.scales` has the scales, for packing. Beside it are `layerwise.json` (the record of the run) and `report.html`. With 2 to 4 bits the scale is a float16 number for each group of columns, with 8 bits a float32 number per row. A weight that is zero stays zero. gptq reads calibration text and repairs later weights for the errors of earlier ones; rtn and hqq need no text. A plan may also ask for zeros, which gptq makes in the same sweep. With --method qvlm the inputs of linears are quantised too, fake-quantised as the weights are, and the clips of their ranges are searched (docs/lab/qvlm.md): the checkpoint has the rounded weights, layerwise.json the clips, which only evaluate obeys; it searches on 8 calibration windows unless told otherwise. The output appears whole or not at all; the same command with --resume continues an interrupted run and ends with the same bytes.',
  examples: [
    {
      what: 'GPTQ to 3 bits, a scale for every 128 columns',
      command: 'layerwise quantise ./my-model --bits 3 --calibration calibration.txt --test test.txt --out my-model-3',
    },
    {
      what: 'Without text',
      command: 'layerwise quantise ./my-model --bits 4 --method rtn --group 64 --out my-model-4',
    },
    {
      what: 'A mean of 3.5 bits, early blocks more',
      command:
        'layerwise quantise ./my-model --bits 3.5 --allocation progression --calibration calibration.txt --validation validation.txt --out my-model-3.5',
    },
    {
      what: 'Weights and activations of four bits',
      command:
        'layerwise quantise ./my-model --method qvlm --bits 4 --calibration calibration.txt --validation validation.txt --out my-model-w4a4',
    },
    {
      what: 'A plan of bits and zeros, half of every 16 columns',
      command:
        'layerwise quantise ./my-model --plan plan.json --pattern 8:16 --calibration calibration.txt --out my-model-sparse-4',
    },
  ],
  run: async (checkpoint, values, onProgress) => {
    if (values.quantiser === QVLM) {
      const made = await quantiseActivations({ ...activationsOptions(checkpoint, values), onProgress });
      return { json: activationsJson(made), text: activationsText(made) };
    }
    refuseGiven(values, ACTIVATIONS_ONLY, `--method ${QVLM} beside it`);
    const result = await quantise({ ...(await quantiseOptions(checkpoint, values)), onProgress });
    return { json: toJson(result), text: toText(result) };
  },
});

export type QuantiseValues = Values<(typeof OPTION_NAMES)[number]>;

/** Turns the values of the command line into options of `quantise`. @throws OptionError E_OPTION_…, ResourceError */
export async function quantiseOptions(checkpoint: string, asked: QuantiseValues): Promise<QuantiseOptions> {
  const {
    bitsAllocation,
    bitsBeta,
    group,
    quantiser,
    bitsPlan,
    zerosPattern,
    targetShares,
    out,
    tasks,
    workQueue,
    ...rest
  } = asked;
  const { activationBits: _, activationRange: __, dependency: ___, threshold: ____, ...options } = rest;
  return {
    checkpoint,
    out: out!,
    ...options,
    ...parseTasks(tasks),
    ...parseQueue(workQueue),
    ...parseShares(targetShares),
    ...(group === undefined ? {} : { group: group === 'row' ? group : parseNumber('--group', group) }),
    ...(quantiser === undefined ? {} : { method: quantiser }),
    ...(zerosPattern === undefined ? {} : { pattern: zerosPattern }),
    ...(bitsAllocation === undefined ? {} : { allocation: bitsAllocation }),
    ...(bitsBeta === undefined ? {} : { beta: bitsBeta }),
    ...(bitsPlan === undefined ? {} : { plan: await readPlan(bitsPlan) }),
  };
}

const scores = (row: ResultRow) => ({
  validation: row.validation?.perplexity ?? null,
  test: row.test?.perplexity ?? null,
  ...(row.tasks ? { tasks: row.tasks } : {}),
  ...fidelityJson(row.fidelity),
});

function toJson({ manifest, seconds, peakMemoryBytes, out }: QuantiseResult): unknown {
  const { bits, sparsity, criterion, dense, uniform, chosen, plan } = manifest;
  return {
    method: criterion,
    bits: { stored: bits?.stored, blocks: bits?.blocks },
    sparsity: { target: sparsity.target, realised: sparsity.realised },
    dense: scores(dense),
    ...(uniform ? { allocation: { policy: plan.from?.policy, ...plan.from?.values }, flat: scores(uniform) } : {}),
    chosen: scores(chosen),
    seconds,
    peakMemoryBytes,
    out,
  };
}

function toText({ manifest, seconds, out }: QuantiseResult): string {
  const { dense, uniform, chosen, criterion, bits, sparsity, tasks, plan } = manifest;
  const row = (label: string, { validation, test }: ResultRow): string[] => [
    label,
    formatPerplexity(validation?.perplexity),
    formatPerplexity(test?.perplexity),
  ];
  const beta = plan.from?.values.beta;
  const models = [
    ['dense', dense] as const,
    ...(uniform ? [[`${criterion}, β = 0`, uniform] as const] : []),
    [uniform && beta !== undefined ? `${criterion}, β = ${formatNumber(beta)}` : criterion, chosen] as const,
  ];
  const evaluated = chosen.validation || chosen.test;
  return [
    ...(evaluated
      ? [formatTable([['perplexity', 'validation', 'test'], ...models.map(([label, of]) => row(label, of))]), '']
      : []),
    ...fidelityTable(models.map(([label, of]) => [label, of.fidelity])),
    ...(tasks ? [modelTable(tasks, models), ...describeCuts(tasks), ''] : []),
    `${bits!.stored.toFixed(3)} bits a weight of the linears with their scales, ${formatPercent(sparsity.realised)} of them zero, counted from the files written; ${formatSeconds(seconds)}.`,
    `checkpoint  ${out}`,
    `report      ${join(out, 'report.html')}`,
  ].join('\n');
}
