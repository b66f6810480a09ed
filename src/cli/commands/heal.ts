import { join } from 'node:path';
import { type HealResult, heal } from '../../api/index.js';
import { formatPercent } from '../../words/index.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { fidelityJson, fidelityTable } from '../fidelity.js';
import { formatSeconds } from '../format.js';
import { RUN_OPTIONS } from '../options.js';
import { lossTable } from '../perplexity.js';

export const healCommand = defineCommand({
  name: 'heal',
  summary: 'Train what pruning, quantising or dropping left, and measure what it gains',
  argument: CHECKPOINT,
  options: [
    'healDense',
    'healText',
    'healValidation',
    'test',
    'train',
    'loss',
    'healTokens',
    'rate',
    'batch',
    'rank',
    'adapter',
    'sequenceLength',
    'windowStart',
    'greedyTokens',
    ...RUN_OPTIONS,
  ],
  required: ['healDense', 'healText', 'healValidation', 'out'],
  details:
    'Writes a plain Hugging Face checkpoint, `layerwise.json` (the record) and `report.html` with the loss curves. Zeros stay zeros, bit for bit, and the weights of a quantised checkpoint stay on their grid, with its scales trained too. First each half block is trained to give the dense model’s residual at its place, block by block; then the whole model is trained on its predictions. The state with the lowest loss on validation text is kept, so the result is never worse there than the checkpoint was. Embeddings, the final norm, the head and routers stay as they are. A run that was killed continues with --resume and ends with the same bytes; a run that diverges stops, and with --resume writes its best state. docs/guide/heal.md has more.',
  examples: [
    {
      what: 'Heal a pruned model',
      command:
        'layerwise heal my-model-70 --dense ./my-model --text corpus.txt --validation validation.txt --test test.txt --out my-model-70-healed',
    },
    {
      what: 'An adapter for PEFT instead of new weights',
      command:
        'layerwise heal my-model-70 --dense ./my-model --text corpus.txt --validation validation.txt --train lora --loss kl --adapter --out my-adapter',
    },
  ],
  run: async (checkpoint, values, onProgress) => {
    const { healDense, healText, healValidation, healTokens, out, ...rest } = values;
    const result = await heal({
      checkpoint,
      dense: healDense!,
      text: healText!,
      validation: healValidation!,
      ...(healTokens === undefined ? {} : { tokens: healTokens }),
      out: out!,
      ...rest,
      onProgress,
    });
    return { json: toJson(result), text: toText(result) };
  },
});

const NAMES = ['dense', 'start', 'healed'] as const;

function toJson({ record, out, seconds }: HealResult): unknown {
  const { scores, zeros, whole, stream } = record;
  const models = NAMES.map((name) => {
    const { perplexity, fidelity } = scores[name];
    const of = fidelity?.test ?? fidelity?.validation;
    return [name, { ...perplexity, ...fidelityJson(of) }] as const;
  });
  return { ...Object.fromEntries(models), zeros, stream, whole, seconds, out };
}

function toText({ record, out, seconds }: HealResult): string {
  const { scores, zeros, adapter } = record;
  const compared = (text: 'validation' | 'test'): string[] =>
    fidelityTable(NAMES.map((name) => [name, scores[name].fidelity?.[text] ?? undefined] as const));
  return [
    ...lossTable(NAMES.map((name) => [name, scores[name].perplexity] as const)),
    ...compared('validation'),
    ...compared('test'),
    `${formatPercent(zeros.after / zeros.weights)} of the prunable weights are zero, ${formatPercent(zeros.before / zeros.weights)} were; ${formatSeconds(seconds)}.`,
    `${adapter ? 'adapter   ' : 'checkpoint'}  ${out}`,
    `report      ${join(out, 'report.html')}`,
  ].join('\n');
}
