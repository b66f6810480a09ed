import { type PackResult, pack } from '../../api/index.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { formatSeconds } from '../format.js';
import { describePacked } from './inspect.js';

export const packCommand = defineCommand({
  name: 'pack',
  summary: 'Pack a checkpoint into one small file that the sparse runtime runs',
  argument: CHECKPOINT,
  options: ['values', 'layout', 'head', 'out'],
  required: ['out'],
  details:
    'Writes one `.lw` file with the weights, the config and the tokenizer (docs/reference/format.md). Zeros stay zeros. Checkpoints pruned with `--pattern n:16` (or N:M with M = 2, 4, 8, 16) need no padding; in unstructured ones each tile of 8 × 16 weights is padded to its fullest row. A linear too dense to gain stays dense; `layerwise inspect model.lw --linears` gives the reason for each linear’s layout. The file appears whole or not at all, and the same checkpoint and options give the same bytes.',
  examples: [
    { what: 'int8', command: 'layerwise pack ./my-model-75 --out my-model-75.lw' },
    { what: 'int4', command: 'layerwise pack ./my-model-75 --values int4 --out my-model-75-int4.lw' },
    { what: 'Exactly the checkpoint’s numbers', command: 'layerwise pack ./my-model-75 --values f32 --out exact.lw' },
  ],
  run: async (checkpoint, { out, ...options }, onProgress) => {
    const result = await pack({ checkpoint, out: out!, ...options, onProgress });
    return { json: result, text: describeResult(result) };
  },
});

function describeResult(result: PackResult): string {
  return `${describePacked(result, false)}\n\npacked  ${result.out}, ${formatSeconds(result.seconds)}`;
}
