import { type ExportResult, exportModel } from '../../api/index.js';
import { formatCount } from '../../words/index.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { formatSeconds, formatTable } from '../format.js';

export const exportCommand = defineCommand({
  name: 'export',
  summary: 'Write a checkpoint in a form that other programs load',
  argument: CHECKPOINT,
  options: ['format', 'type', 'exportBits', 'exportGroup', 'customCode', 'padded', 'out'],
  required: ['format', 'out'],
  details:
    'gguf: one file for llama.cpp, Ollama and LM Studio; families llama, mistral, qwen2, qwen3, gemma3_text and gemma3. compressed-tensors: packed integers that transformers, vLLM and SGLang load. hf: the plain checkpoint, without what only Layerwise reads. Blocks of unequal width (layer_widths in config.json): gguf writes llama and mistral as the architecture deci; hf needs --custom-code (llama, mistral, qwen2, qwen3) or --padded. A checkpoint that was quantised here (it has `layerwise.scales`) keeps its own integers and scales: in compressed-tensors always, in GGUF with q8_0, and with q4_0 up to 4 bits. What another program would compute differently is refused by name; what it does less well is a note. Zeros are counted before and after. The output appears whole or not at all, and the same checkpoint and options give the same bytes. docs/guide/export.md says which form loads where.',
  examples: [
    { what: 'For llama.cpp', command: 'layerwise export ./my-model-50 --to gguf --type q4_0 --out my-model-50.gguf' },
    {
      what: 'For vLLM: 4 bits in groups of 128 columns',
      command: 'layerwise export ./my-model-50 --to compressed-tensors --bits 4 --out my-model-50-w4a16',
    },
    { what: 'A copy without our own files', command: 'layerwise export ./my-model-50 --to hf --out my-model-50-plain' },
  ],
  run: async (checkpoint, { format, exportBits: bits, exportGroup: group, out, ...options }, onProgress) => {
    const grid = { ...(bits === undefined ? {} : { bits }), ...(group === undefined ? {} : { group }) };
    const result = await exportModel({ checkpoint, to: format!, out: out!, ...options, ...grid, onProgress });
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
