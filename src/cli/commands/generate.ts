import { generate } from '../../api/index.js';
import { defineCommand, RUNNABLE } from '../command.js';
import { formatSeconds } from '../format.js';

export const generateCommand = defineCommand({
  name: 'generate',
  summary: 'Write text with a packed model or a checkpoint',
  argument: RUNNABLE,
  options: [
    'prompt',
    'maxTokens',
    'temperature',
    'topP',
    'topK',
    'seed',
    'valuesInMemory',
    'positions',
    'decoderDevice',
    'threads',
  ],
  details:
    'The text appears on stdout as it is written; the speed appears on stderr at the end. The same seed gives the same text; `--temperature 0` always takes the likeliest token. Neither depends on the number of threads. On a GPU (`--device webgpu`) sums are rounded in another order, so a text may part from the cpu’s. The text ends where the model ends it, or after `--max-tokens`.',
  examples: [
    { what: 'Continue a text', command: 'layerwise generate my-model-75.lw --prompt "Once upon a time"' },
    {
      what: 'The likeliest text',
      command: 'layerwise generate my-model-75.lw --prompt "The capital of France is" --temperature 0 --max-tokens 20',
    },
    { what: 'On the GPU', command: 'layerwise generate my-model-75.lw --device webgpu --prompt "Once upon a time"' },
    { what: 'A checkpoint, in 8 bits', command: 'layerwise generate ./my-model --values int8 --prompt "Once"' },
  ],
  run: async (model, { valuesInMemory: values, decoderDevice: device, ...options }, onProgress, { write }) => {
    const opening = { ...(values === undefined ? {} : { values }), ...(device === undefined ? {} : { device }) };
    const result = await generate({ model, ...options, ...opening, onProgress, onText: write });
    write('\n');
    const { promptTokens, promptSeconds, tokens, tokensPerSecond } = result;
    const rate = tokensPerSecond === undefined ? '' : ` at ${tokensPerSecond.toFixed(1)} tokens/s`;
    const text = `${tokens} tokens${rate}, after ${promptTokens} of prompt in ${formatSeconds(promptSeconds)}`;
    onProgress({ kind: 'note', text });
    return { json: result };
  },
});
