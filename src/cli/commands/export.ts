import { type ExportResult, exportModel } from '../../api/index.js';
import { formatCount } from '../../words/index.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { formatSeconds, formatTable } from '../format.js';

export const exportCommand = defineCommand({
  name: 'export',
  summary: 'Write a checkpoint in a form that other programs load',
  argument: CHECKPOINT,
  options: ['exportTo', 'type', 'bits', 'group', 'out'],
  required: ['exportTo', 'out'],
  details:
    'compressed-tensors: packed integers that transformers, vLLM and SGLang load. A checkpoint that was quantised here (it has `layerwise.scales`) keeps its own integers, scales and bits for each linear; a dense one is rounded to `--bits`. hf: the plain checkpoint, without what only Layerwise reads. The output appears whole or not at all, and zeros are counted before and after.',
  examples: [
    {
      what: 'For vLLM',
      command: 'layerwise export ./my-model --to compressed-tensors --bits 4 --out my-model-w4a16',
    },
  ],
  run: async (checkpoint, { exportTo, out, ...options }, onProgress) => {
    const result = await exportModel({ checkpoint, to: exportTo!, out: out!, ...options, onProgress });
    return { json: result, text: describeResult(result) };
  },
});

function describeResult({ out, types, zeros, seconds }: ExportResult): string {
  const rows = types.map(({ type, tensors }) => [type, `${tensors} ${tensors === 1 ? 'linear' : 'linears'}`]);
  return [
    formatTable(rows),
    '',
    ...(zeros ? [describeZeros(zeros), ''] : []),
    `exported  ${out}, ${formatSeconds(seconds)}`,
  ].join('\n');
}

function describeZeros({ before, after, kept }: NonNullable<ExportResult['zeros']>): string {
  if (before === 0) return `zeros in the linears  none before, ${formatCount(after)} after`;
  const lost = before === kept ? 'all of them still zeros' : `${formatCount(before - kept)} of them no longer zeros`;
  return `zeros in the linears  ${formatCount(before)} before, ${lost}; ${formatCount(after)} after`;
}
