import { inspect } from '../../jobs/index.js';
import { defineCommand } from '../command.js';
import { formatBar, formatBytes, formatPercent, formatTable } from '../format.js';

export const inspectCommand = defineCommand({
  name: 'inspect',
  summary: 'What is in a checkpoint: blocks, linears, bytes, zeros',
  argument: { name: 'checkpoint', text: 'directory of a Hugging Face checkpoint' },
  options: ['linears'],
  details:
    'Zeros are counted from the bytes on disk. Sparsity is over the prunable linears of the blocks; embeddings, norms and the LM head are never pruned.',
  examples: [
    { what: 'What is in a checkpoint', command: 'layerwise inspect ./my-model' },
    {
      what: 'The sparsity of every linear, for another program',
      command: "layerwise inspect ./my-model --json | jq '.linears[] | [.name, .sparsity]'",
    },
  ],
  run: async (checkpoint, { linears }) => {
    const report = await inspect(checkpoint);
    const facts = [
      ['family', report.family],
      ['blocks', `${report.blocks}`],
      ['hidden, MLP', `${report.hidden}, ${report.intermediate}`],
      ['heads, key-value heads', `${report.heads}, ${report.kvHeads}`],
      ['vocabulary', `${report.vocabulary}${report.tied ? ' (head tied to the embeddings)' : ''}`],
      ['longest sequence', `${report.maxPositions} tokens`],
      ['parameters', report.parameters.toLocaleString('en')],
      [
        'prunable',
        `${report.prunable.toLocaleString('en')} (${formatPercent(report.prunable / report.parameters, 1)})`,
      ],
      [
        'bytes of weights',
        `${formatBytes(report.bytes)} in ${report.shards} ${report.shards === 1 ? 'file' : 'files'}`,
      ],
      ['zeros among prunable', `${report.zeros.toLocaleString('en')} (${formatPercent(report.sparsity)})`],
    ];
    const width = Math.max(...facts.map(([name]) => name!.length));
    const head = facts.map(([name, value]) => `${name!.padEnd(width)}  ${value}`).join('\n');
    const blocks = report.blockSparsity.map((share, i) => [`block ${i}`, formatPercent(share), formatBar(share)]);
    const rows = linears
      ? report.linears.map((l) => [l.name, `${l.rows} × ${l.columns}`, l.dtype, formatPercent(l.sparsity)])
      : blocks;
    return { json: report, text: `${head}\n\n${formatTable(rows)}` };
  },
});
