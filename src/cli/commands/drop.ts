import { join } from 'node:path';
import { drop } from '../../api/index.js';
import { formatPercent } from '../../words/index.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { fidelityJson, fidelityTable } from '../fidelity.js';
import { formatSeconds, formatTable } from '../format.js';
import { parseShares } from '../option-values.js';
import { RUN_OPTIONS, WINDOW_OPTIONS } from '../options.js';
import { lossTable } from '../perplexity.js';

/** The meaning of a score, by method. */
const SCORES: Readonly<Record<string, string>> = {
  shortgpt: 'influence',
  angular: 'distance across the run',
  perplexity: 'perplexity without it',
  repaired: 'repaired perplexity without it',
};

export const dropCommand = defineCommand({
  name: 'drop',
  summary: 'Remove whole blocks from a checkpoint, and measure what it costs',
  argument: CHECKPOINT,
  options: [
    'blocks',
    'method',
    'repair',
    'dropShares',
    'merge',
    'calibration',
    'validation',
    'test',
    ...WINDOW_OPTIONS,
    'greedyTokens',
    ...RUN_OPTIONS,
  ],
  required: ['blocks', 'method', 'out'],
  details:
    'Writes a plain Hugging Face checkpoint with fewer blocks: the others are renumbered, `config.json` is updated (`num_hidden_layers` and every list with one entry per block), and everything else is copied byte for byte; `layerwise.json` is the record of the run, `report.html` its page. The methods shortgpt and angular need calibration text; perplexity and repaired need validation text, on which perplexity runs the model about L/2 times for each block it removes, and repaired L times, each after a repair. Nothing is written for a trial. All methods but these two always keep the last block: only the final norm and the head read its output, and the angle of a residual says nothing about them. Nothing is trained afterwards; --repair linear makes a part of the loss good in closed form, by one least squares for each gap on calibration text; --repair stream refits the blocks behind too, and --merge keeps the best heads and channels of the blocks that go (docs/guide/depth.md).',
  examples: [
    {
      what: 'Remove the two blocks whose loss raises perplexity least',
      command:
        'layerwise drop ./my-model --blocks 2 --method perplexity --validation validation.txt --test test.txt --out my-model-less-2',
    },
    {
      what: 'ShortGPT: one pass over calibration text',
      command:
        'layerwise drop ./my-model --blocks 8 --method shortgpt --calibration calibration.txt --out my-model-less-8',
    },
    {
      what: 'The same, with the block before each gap fitted to what the removed blocks did',
      command:
        'layerwise drop ./my-model --blocks 8 --method shortgpt --repair linear --calibration calibration.txt --out my-model-less-8',
    },
    {
      what: 'Merge each removed block with the one before it, and let the blocks behind follow the dense stream',
      command:
        'layerwise drop ./my-model --blocks 8 --method shortgpt --merge --repair stream --calibration calibration.txt --out my-model-less-8',
    },
  ],
  run: async (checkpoint, { blocks, method, out, dropShares, ...options }, onProgress) => {
    const shares = parseShares(dropShares);
    const result = await drop({
      checkpoint,
      blocks: blocks!,
      method: method!,
      out: out!,
      ...options,
      ...shares,
      onProgress,
    });
    const { record, seconds } = result;
    const { removed, scores, dense, dropped, parameters, repair } = record;
    const json = {
      removed,
      method: record.method,
      scores,
      blocks: record.blocks,
      parameters,
      dense,
      dropped,
      ...(repair ? { repair } : {}),
      ...fidelityJson(record.fidelity),
      seconds,
      out: result.out,
    };
    const judged = scores.map((score, block) => [
      `block ${block}`,
      score === null ? '–' : score.toPrecision(5),
      removed.includes(block) ? 'removed' : '',
    ]);
    const text = [
      formatTable([['', SCORES[record.method] ?? ''], ...judged]),
      '',
      ...lossTable([
        ['dense', dense],
        [record.method, repair?.unrepaired ?? dropped],
        ...(repair ? [[repair.merge ? 'merged' : 'repaired', dropped] as const] : []),
      ]),
      ...fidelityTable([[record.method, record.fidelity]]),
      ...(repair
        ? [
            `${repair.merge ? 'merged  ' : 'repaired'}    ${repair.seams.map(({ block, gap }) => `block ${block} for ${gap.join(', ')}`).join('; ')}`,
          ]
        : []),
      `${record.blocks.after} of ${record.blocks.before} blocks and ${formatPercent(parameters.after / parameters.before)} of the parameters are left; ${formatSeconds(seconds)}.`,
      `checkpoint  ${result.out}`,
      `report      ${join(result.out, 'report.html')}`,
    ].join('\n');
    return { json, text };
  },
});
