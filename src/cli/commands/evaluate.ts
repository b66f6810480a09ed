import { evaluate } from '../../jobs/index.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { formatPerplexity, formatSeconds } from '../format.js';

export const evaluateCommand = defineCommand({
  name: 'evaluate',
  summary: 'Perplexity of a checkpoint on a text',
  argument: CHECKPOINT,
  options: ['text', 'sequenceLength', 'device', 'threads'],
  required: ['text'],
  details:
    'Perplexity by the pruning papers’ protocol: the whole text tokenised once, non-overlapping windows, the tail dropped, the first token of a window unscored, exp of the mean of the windows’ means. It is not the word perplexity that lm-evaluation-harness prints for WikiText.',
  examples: [
    { what: 'Perplexity on a text', command: 'layerwise evaluate ./my-model-70 --text test.txt' },
    {
      what: 'As the papers do for LLaMA-2',
      command: 'layerwise evaluate ./llama-2-7b --text wikitext2-test.txt --sequence-length 2048 --json',
    },
  ],
  run: async (checkpoint, { text, ...options }, onProgress) => {
    const { perplexity, windows, tokens, seconds } = await evaluate({
      checkpoint,
      text: text!,
      ...options,
      onProgress,
    });
    return {
      json: { perplexity, windows, tokens, seconds },
      text: `perplexity ${formatPerplexity(perplexity)} over ${windows} windows, ${tokens} tokens scored, in ${formatSeconds(seconds)}`,
    };
  },
});
