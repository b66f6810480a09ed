import { grow } from '../../api/index.js';
import { formatPercent } from '../../words/index.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { fidelityJson, fidelityTable } from '../fidelity.js';
import { formatSeconds, formatTable } from '../format.js';
import { RUN_OPTIONS } from '../options.js';
import { lossTable } from '../perplexity.js';

export const growCommand = defineCommand({
  name: 'grow',
  summary: 'Add whole blocks to a checkpoint, made of those it has',
  argument: CHECKPOINT,
  options: [
    'newBlocks',
    'growMethod',
    'where',
    'validation',
    'test',
    'sequenceLength',
    'windowStart',
    'greedyTokens',
    ...RUN_OPTIONS,
  ],
  required: ['newBlocks', 'growMethod', 'out'],
  details:
    'Writes a plain Hugging Face checkpoint with more blocks: blocks are renumbered, `config.json` is updated (`num_hidden_layers` and every list with one entry per block), and everything else is copied byte for byte; `layerwise.json` is the record of the run, and its `grown` lists the new blocks. Nothing is trained: with llama-pro the model computes exactly what it did, with the other methods it is worse than before until the new blocks are trained (docs/guide/depth.md). lesa also says how well it predicts blocks that it was not shown, beside the mean of the neighbours and a copy. Texts are only scored; they choose nothing.',
  examples: [
    {
      what: 'Four blocks that change nothing, to be trained',
      command: 'layerwise grow ./my-model --blocks 4 --method llama-pro --out my-model-plus-4',
    },
    {
      what: 'Blocks predicted from their neighbours, in chosen places',
      command:
        'layerwise grow ./my-model --blocks 8 --method lesa --where 12..19 --test test.txt --out my-model-plus-8',
    },
  ],
  run: async (checkpoint, { newBlocks, growMethod, out, ...options }, onProgress) => {
    const made = { checkpoint, blocks: newBlocks!, method: growMethod!, out: out! };
    const result = await grow({ ...made, ...options, onProgress });
    const { record, seconds } = result;
    const { grown, of, dense, deeper, parameters, heldOut, blocks, method } = record;
    const json = {
      ...{ method, grown, of, blocks, parameters, ...(heldOut ? { heldOut } : {}), dense, deeper },
      ...fidelityJson(record.fidelity),
      ...{ seconds, out: result.out },
    };
    const errors = (heldOut ?? []).map(({ name, lesa, average, copy, norm }) => [
      name,
      ...[lesa, average, copy, norm].map((value) => value.toFixed(3)),
    ]);
    const text = [
      formatTable([['new', 'made of'], ...grown.map((block, i) => [`block ${block}`, of[i]!.join(' and ')])]),
      '',
      ...(heldOut
        ? [
            formatTable([['error on held-out blocks', 'lesa', 'average', 'copy', 'norm'], ...errors]),
            'Relative; of no block at all it is 1. Norm: of what lesa predicts, relative to the block’s own.',
            '',
          ]
        : []),
      ...lossTable([
        ['dense', dense],
        [method, deeper],
      ]),
      ...fidelityTable([[method, record.fidelity]]),
      `${blocks.after} blocks instead of ${blocks.before}, and ${formatPercent(parameters.after / parameters.before)} of the parameters; ${formatSeconds(seconds)}.`,
      `checkpoint  ${result.out}`,
    ].join('\n');
    return { json, text };
  },
});
