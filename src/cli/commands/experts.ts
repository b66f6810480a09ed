import { join } from 'node:path';
import { experts } from '../../api/index.js';
import { formatPercent, formatPerplexity } from '../../words/index.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { fidelityJson, fidelityTable } from '../fidelity.js';
import { formatSeconds, formatTable } from '../format.js';
import { RUN_OPTIONS, WINDOW_OPTIONS } from '../options.js';
import { lossTable } from '../perplexity.js';

/** So many of the experts that go are named in a row of the table. */
const NAMED = 12;

export const expertsCommand = defineCommand({
  name: 'experts',
  summary: 'Remove experts from a mixture, or merge them, and measure what it costs',
  argument: CHECKPOINT,
  options: [
    'keep',
    'expertMethod',
    'align',
    'perLayer',
    'expertAllocation',
    'expertBeta',
    'maxTrials',
    'calibration',
    'validation',
    'test',
    ...WINDOW_OPTIONS,
    'greedyTokens',
    ...RUN_OPTIONS,
  ],
  required: ['keep', 'calibration', 'out'],
  details:
    'For the families mixtral and qwen3_moe. One pass of the dense model over the calibration text scores every expert; those with the smallest scores go, their rows of the router with them, and the others are renumbered. A block keeps at least num_experts_per_tok experts. With --per-layer equal the output is a plain Hugging Face checkpoint: tensors that stay keep their bytes, and `config.json` gets the new number. With --per-layer free blocks have different numbers, which `config.json` says in `layer_experts`; every command of Layerwise and its .lw files run that, transformers refuses the shapes. Nothing is trained afterwards (docs/guide/experts.md). `layerwise.json` is the record of the run, `report.html` shows it.',
  examples: [
    {
      what: 'REAP: a quarter of the experts goes, the same number from each block',
      command:
        'layerwise experts ./my-mixture --keep 0.75 --calibration calibration.txt --test test.txt --out my-mixture-75',
    },
    {
      what: 'Different numbers from block to block, in a line with depth that is searched on validation text',
      command:
        'layerwise experts ./my-mixture --keep 0.5 --per-layer free --calibration calibration.txt --validation validation.txt --out my-mixture-50',
    },
    {
      what: 'The experts that go are merged into those that stay',
      command:
        'layerwise experts ./my-mixture --keep 0.5 --method merge --calibration calibration.txt --out my-mixture-merged',
    },
  ],
  run: async (
    checkpoint,
    { keep, expertMethod, expertAllocation, expertBeta, calibration, out, ...options },
    onProgress,
  ) => {
    const result = await experts({
      ...{ checkpoint, keep: keep!, calibration: calibration!, out: out! },
      ...(expertMethod === undefined ? {} : { method: expertMethod }),
      ...(expertAllocation === undefined ? {} : { allocation: expertAllocation }),
      ...(expertBeta === undefined ? {} : { beta: expertBeta }),
      ...options,
      onProgress,
    });
    const { record, seconds } = result;
    const { method, blocks, dense, pruned, parameters, allocation, trials } = record;
    const json = {
      ...{ method, keep: record.keep, perLayer: record.perLayer },
      ...(allocation ? { allocation } : {}),
      ...(trials ? { trials } : {}),
      ...{ blocks, experts: record.experts, parameters, dense, pruned },
      ...fidelityJson(record.fidelity),
      ...{ seconds, out: result.out },
    };
    const uneven = new Set(blocks.map(({ kept }) => kept.length)).size > 1;
    const text = [
      formatTable([
        ['', 'stay', method === 'merge' ? 'merged' : 'go'],
        ...blocks.map(({ block, kept, scores, merged }) => {
          const gone = [...scores.keys()].filter((expert) => !kept.includes(expert));
          const went = merged?.map(({ expert, into }) => `${expert} into ${into}`) ?? gone.map(String);
          const more = went.length > NAMED ? `, … (${went.length})` : '';
          return [`block ${block}`, `${kept.length} of ${scores.length}`, went.slice(0, NAMED).join(', ') + more];
        }),
      ]),
      '',
      ...(trials
        ? [
            formatTable([
              ['β', 'validation', 'experts of each block'],
              ...trials.map(({ beta, perplexity, experts: own }) => [
                beta.toPrecision(3),
                formatPerplexity(perplexity),
                own.join(' '),
              ]),
            ]),
            '',
          ]
        : []),
      ...lossTable([
        ['dense', dense],
        [method, pruned],
      ]),
      ...fidelityTable([[method, record.fidelity]]),
      `${record.experts.after} of ${record.experts.before} experts and ${formatPercent(parameters.after / parameters.before)} of the parameters are left; ${formatSeconds(seconds)}.`,
      uneven
        ? 'Blocks have different numbers of experts (layer_experts in config.json): Layerwise and its .lw files run this, transformers does not.'
        : 'It loads wherever the source does.',
      `checkpoint  ${result.out}`,
      `report      ${join(result.out, 'report.html')}`,
    ].join('\n');
    return { json, text };
  },
});
