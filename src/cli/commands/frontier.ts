import { join } from 'node:path';
import { type FrontierOptions, frontier } from '../../api/index.js';
import { readContender } from '../../records/index.js';
import { frontierTable, nameFronts } from '../../words/index.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { formatSeconds, formatTable } from '../format.js';
import { parseShares } from '../option-values.js';
import { type OptionName, WINDOW_OPTIONS } from '../options.js';

const OPTION_NAMES = [
  'contenders',
  'text',
  'calibration',
  'validation',
  'targetShares',
  ...WINDOW_OPTIONS,
  'maxTrials',
  'greedyTokens',
  'tokens',
  'turns',
  'seed',
  'threads',
  'out',
  'resume',
] as const satisfies readonly OptionName[];

export const frontierCommand = defineCommand({
  name: 'frontier',
  summary: 'Measure which forms of a model are worth their bytes and their time',
  argument: CHECKPOINT,
  options: OPTION_NAMES,
  required: ['text', 'out'],
  details:
    'Makes the model in many forms: float32; 8, 4, 3 and 2 bits by plain rounding, by GPTQ, and by GPTQ that follows the dense stream; mixed widths by `layerwise compress`; 8 of 16 zeros with 4 bits; and llama.cpp’s types. All are scored on the same windows against the dense model, and packed files are run for their speed, in turns. A form is on a front if no other is at least as good on both axes and better on one; a difference of KL whose paired interval holds 0 is a tie. Writes `frontier.json`, `frontier.md`, `frontier.svg` and `frontier.html`, and no model. A type that GGUF cannot hold for this family is skipped, with its reason. GGUF files are dequantised and scored by our engine; they have no speed here.',
  examples: [
    {
      what: 'Everything, with the shares of stream targets and the mixed plans chosen on validation text',
      command:
        'layerwise frontier ./my-model --calibration calibration.txt --validation validation.txt --text test.txt --out front',
    },
    {
      what: 'A few forms, without calibration text',
      command: 'layerwise frontier ./my-model --contenders dense,int8,int4,q8_0,q4_0 --text test.txt --out front',
    },
  ],
  run: async (checkpoint, { contenders, targetShares, text, out, ...options }, onProgress) => {
    const asked: FrontierOptions = {
      checkpoint,
      ...options,
      ...(contenders === undefined || contenders === 'all'
        ? {}
        : { contenders: contenders.split(',').map((name) => name.trim()) }),
      ...parseShares(targetShares),
      text: text!,
      out: out!,
      onProgress,
    };
    const { frontier: record, seconds } = await frontier(asked);
    const numbers = record.contenders.map(readContender);
    const onFront = (axis: 'bytes' | 'speed'): string =>
      numbers.flatMap(({ name, form }) => (form?.fronts[axis] ? [name] : [])).join(', ') || 'none';
    const skipped = numbers.flatMap(({ name, skipped: reason }) =>
      reason === null ? [] : [`${name} is skipped. ${reason}`],
    );
    const table = frontierTable(numbers).map((row, i) => (numbers[i - 1]?.form === null ? [row[0]!, 'skipped'] : row));
    return {
      json: {
        contenders: numbers.map(({ form, ...one }) => ({ ...one, ...form, on: form && nameFronts(form.fronts) })),
        seconds,
        out: out!,
      },
      text: [
        formatTable(table),
        '',
        `bytes × KL   ${onFront('bytes')}`,
        ...(record.speeds ? [`speed × KL   ${onFront('speed')}`] : []),
        ...skipped,
        '',
        formatSeconds(seconds),
        `report  ${join(out!, 'frontier.html')}`,
      ].join('\n'),
    };
  },
});
