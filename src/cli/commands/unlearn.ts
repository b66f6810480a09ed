import { join } from 'node:path';
import { type UnlearnResult, unlearn } from '../../api/index.js';
import { knownParts } from '../../records/index.js';
import { changeTable, formatNats, formatPercent, partsTable } from '../../words/index.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { formatSeconds, formatTable } from '../format.js';
import { parseTasks } from '../option-values.js';
import { RUN_OPTIONS, TASK_OPTIONS } from '../options.js';
import { describeCuts } from '../tasks.js';

export const unlearnCommand = defineCommand({
  name: 'unlearn',
  summary: 'Suppress what a text taught, and measure what brings it back',
  argument: CHECKPOINT,
  options: [
    'forget',
    'retain',
    'layer',
    'unlearnMethod',
    'unlearnBeta',
    'coefficient',
    'unlearnAlpha',
    'unlearnSteps',
    'unlearnRate',
    'unlearnBatch',
    'tolerance',
    'official',
    'sequenceLength',
    'windowStart',
    ...TASK_OPTIONS,
    ...RUN_OPTIONS,
  ],
  required: ['forget', 'retain', 'out'],
  details:
    'Writes a plain Hugging Face checkpoint in which three matrices differ: down of block l and of the two before it (each expert’s, in a mixture), trained until the residual after block l is a fixed direction on the forget text and what it was on the retain text (Adaptive RMU). Half of each text is trained on, a quarter chooses l and β (the highest loss on the forget text while that on the retain text rises by no more than --tolerance), and a quarter is scored at the end. Three leak tests say what brings the text back: twenty steps of training on it, projecting out the mean direction of the change, and rounding to four bits. Knowledge is suppressed, not erased; `layerwise.json` and `report.html` say how much comes back. docs/guide/unlearn.md has more.',
  examples: [
    {
      what: 'Suppress one text, keep another, and search block and β',
      command: 'layerwise unlearn ./my-model --forget forget.txt --retain retain.txt --out my-model-without',
    },
    {
      what: 'With questions about what was to go and what was to stay, before and after',
      command:
        'layerwise unlearn ./my-model --forget forget.txt --retain retain.txt --tasks people_forget,people_neighbor,mmlu --data questions --out my-model-without',
    },
    {
      what: 'One trial, at a block and a β of your choice',
      command:
        'layerwise unlearn ./my-model --forget forget.txt --retain retain.txt --layer 7 --beta 5 --steps 200 --out my-model-without',
    },
  ],
  run: async (checkpoint, values, onProgress) => {
    const {
      forget,
      retain,
      unlearnMethod,
      unlearnBeta,
      unlearnAlpha,
      unlearnSteps,
      unlearnRate,
      unlearnBatch,
      tasks,
      ...rest
    } = values;
    const { out, ...others } = rest;
    const given = Object.fromEntries(
      Object.entries({
        method: unlearnMethod,
        beta: unlearnBeta,
        alpha: unlearnAlpha,
        steps: unlearnSteps,
        rate: unlearnRate,
        batch: unlearnBatch,
      }).filter(([, value]) => value !== undefined),
    );
    const result = await unlearn({
      ...{ checkpoint, forget: forget!, retain: retain!, out: out! },
      ...given,
      ...others,
      ...parseTasks(tasks),
      onProgress,
    });
    return { json: toJson(result), text: toText(result) };
  },
});

function toJson({ record, out, seconds }: UnlearnResult): unknown {
  const { chosen, within, before, trials, tensors, dense, suppressed, tasks, leaks } = record;
  return { chosen, within, before, trials, tensors, dense, suppressed, tasks, leaks, seconds, out };
}

const LEAKS = { relearn: 'after relearning', ablate: 'direction ablated', int4: 'four bits' } as const;

function toText({ record, out, seconds }: UnlearnResult): string {
  const { chosen, trials, dense, suppressed, leaks, tasks, tensors } = record;
  const row = (label: string, { forget, retain }: typeof dense, back = ''): string[] => [
    label,
    ...[forget, retain].flatMap(({ nll, accuracy }) => [formatNats(nll), formatPercent(accuracy)]),
    back,
  ];
  const tried = trials.map(({ layer, beta, forget, retain }) => [
    `block ${layer}${beta === null ? '' : `, β ${beta}`}`,
    formatNats(forget),
    formatNats(retain),
    layer === chosen.layer && beta === chosen.beta ? 'chosen' : '',
  ]);
  return [
    ...(trials.length > 1 ? [formatTable([['validation', 'forget loss', 'retain loss', ''], ...tried]), ''] : []),
    formatTable([
      ['held-out', 'forget loss', 'top-1', 'retain loss', 'top-1', 'comes back'],
      row('before', dense),
      row('suppressed', suppressed),
      ...leaks.map(({ name, scores, back }) =>
        row(LEAKS[name], scores, back.nll === null ? '–' : formatPercent(back.nll)),
      ),
    ]),
    ...(tasks
      ? [
          '',
          ...describeCuts(tasks.setup),
          formatTable(changeTable(tasks.setup, tasks.dense, tasks.suppressed)),
          ...describeParts(tasks),
        ]
      : []),
    '',
    'The text is suppressed, not erased: see what comes back.',
    `${tensors.length} tensors changed, at block ${chosen.layer}; ${formatSeconds(seconds)}.`,
    `checkpoint  ${out}`,
    `report      ${join(out, 'report.html')}`,
  ].join('\n');
}

/** The subjects that the model knew before, if the tasks have subjects. */
function describeParts({ parts }: NonNullable<UnlearnResult['record']['tasks']>): string[] {
  if (parts.length === 0) return [];
  const known = knownParts(parts);
  return [
    '',
    `${known.length} of ${parts.length} subjects were above chance before.`,
    ...(known.length > 0 ? [formatTable(partsTable(known))] : []),
  ];
}
